// The ledger's table. Its key and index names are core/table.ts, which the adapter shares. Losing it loses the evidence
// of every key, so it can be restored to any second of the last 35 days, and no deployment deletes it. DynamoDB restores to
// another table: that one is used by its name then, and the stack's own stays as it is (docs/operations.md, Recovery drills).

import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, type ITable, ProjectionType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';
import { ledgerTable } from '../../core/table.ts';

const text = (name: string) => ({ name, type: AttributeType.STRING });

export interface LedgerProps {
  /** Of a test: it may be deleted. */
  readonly ephemeral: boolean;
  /** A table that a backup was restored to, which takes this one's place. */
  readonly restored?: string;
}

/** A table as policies and functions name it. */
export type NamedTable = Pick<ITable, 'tableArn' | 'tableName'>;

export class Ledger extends Construct {
  /** The one in use. */
  readonly table: NamedTable;
  readonly dueIndexArn: string;
  readonly trailIndexArn: string;
  /** The stack's own, where another has taken its place. */
  readonly replaced: NamedTable | undefined;

  constructor(scope: Construct, id: string, { ephemeral, restored }: LedgerProps) {
    super(scope, id);
    const { partitionKey, sortKey, dueIndex, trailIndex } = ledgerTable;
    const own = new Table(this, 'Table', {
      partitionKey: text(partitionKey),
      sortKey: text(sortKey),
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: ledgerTable.expires,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: !ephemeral,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    for (const index of [dueIndex, trailIndex])
      own.addGlobalSecondaryIndex({
        indexName: index.name,
        partitionKey: text(index.partitionKey),
        sortKey: text(index.sortKey),
        projectionType: ProjectionType.INCLUDE,
        nonKeyAttributes: [...index.projected],
      });
    this.table = restored === undefined ? own : Table.fromTableName(this, 'Restored', restored);
    this.replaced = restored === undefined ? undefined : own;
    this.dueIndexArn = `${this.table.tableArn}/index/${dueIndex.name}`;
    this.trailIndexArn = `${this.table.tableArn}/index/${trailIndex.name}`;
  }
}
