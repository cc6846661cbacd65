// The ledger's table. Its key and index names are core/table.ts, which the adapter shares. Losing it loses the evidence
// of every key, so it can be restored to any second of the last 35 days, and no deployment deletes it.

import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, ProjectionType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';
import { ledgerTable } from '../../core/table.ts';

const text = (name: string) => ({ name, type: AttributeType.STRING });

export interface LedgerProps {
  /** Of a test: it may be deleted. */
  readonly ephemeral: boolean;
}

export class Ledger extends Construct {
  readonly table: Table;
  readonly dueIndexArn: string;

  constructor(scope: Construct, id: string, { ephemeral }: LedgerProps) {
    super(scope, id);
    const { partitionKey, sortKey, dueIndex } = ledgerTable;
    this.table = new Table(this, 'Table', {
      partitionKey: text(partitionKey),
      sortKey: text(sortKey),
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: ledgerTable.expires,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: !ephemeral,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.table.addGlobalSecondaryIndex({
      indexName: dueIndex.name,
      partitionKey: text(dueIndex.partitionKey),
      sortKey: text(dueIndex.sortKey),
      projectionType: ProjectionType.INCLUDE,
      nonKeyAttributes: [...dueIndex.projected],
    });
    this.dueIndexArn = `${this.table.tableArn}/index/${dueIndex.name}`;
  }
}
