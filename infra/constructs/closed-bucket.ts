// A bucket that nobody reads but those who are let in: not public, encrypted, by TLS alone, without ACLs, and kept when the stack
// goes.

import { RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  type LifecycleRule,
  ObjectOwnership,
} from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';

export interface ClosedBucketProps {
  /** Why no log of its accesses is kept (AwsSolutions-S1). */
  readonly withoutLogBecause: string;
  readonly lifecycleRules?: LifecycleRule[];
}

export class ClosedBucket extends Bucket {
  constructor(scope: Construct, id: string, { withoutLogBecause, lifecycleRules }: ClosedBucketProps) {
    super(scope, id, {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: RemovalPolicy.RETAIN,
      ...(lifecycleRules === undefined ? {} : { lifecycleRules }),
    });
    Validations.of(this).acknowledge({ id: 'AwsSolutions-S1', reason: withoutLogBecause });
  }
}
