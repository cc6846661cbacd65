// Where DMARC aggregate reports come in by mail: SES receives for one domain, puts each mail into a bucket and tells the function
// of it. Only SES writes the bucket, only the function reads it, and a month later a mail is gone. What the function could not take
// in, Lambda tries again for some hours; then it is told to a queue, which has an alarm (watch.ts).
//
// Of an account and region, one rule set is active, and CloudFormation cannot say which: an operator activates this one, or adds
// its rule to the active one (docs/reports.md).

import { CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { Bucket, IBucket } from 'aws-cdk-lib/aws-s3';
import { EmailIdentity, Identity, ReceiptRuleSet } from 'aws-cdk-lib/aws-ses';
import { Lambda, LambdaInvocationType, S3 } from 'aws-cdk-lib/aws-ses-actions';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { ClosedBucket } from './closed-bucket.ts';

/** As functions/reports/handler.ts has it. */
const objectKeyPrefix = 'incoming/';

/** So long a mail can be looked at, or taken in again. */
const kept = Duration.days(30);
/** So long Lambda keeps a call that it could not make, or that failed. */
const patience = Duration.hours(6);

export class ReportMails extends Construct {
  readonly bucket: Bucket;
  /** Of the mails in it. */
  readonly mailsArn: string;
  /** Calls of the function that failed for good, each with the mail's id. */
  readonly failed: Queue;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.bucket = new ClosedBucket(this, 'Bucket', {
      withoutLogBecause:
        'One service writes it and one function reads it; what came in and what became of it is in that function’s log.',
      lifecycleRules: [{ expiration: kept, abortIncompleteMultipartUploadAfter: Duration.days(1) }],
    });
    this.mailsArn = this.bucket.arnForObjects(`${objectKeyPrefix}*`);
    this.failed = new Queue(this, 'Failed', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    Validations.of(this.failed).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is itself where failures end; nothing receives from it but people.',
    });
  }

  /** @param domain that receives, and nothing else: `reports.example.jp` */
  receive(domain: string, handler: IFunction): void {
    const { region } = Stack.of(this);
    // Its class and its interface disagree under exactOptionalPropertyTypes.
    const bucket = this.bucket as IBucket;
    handler.configureAsyncInvoke({
      maxEventAge: patience,
      retryAttempts: 2,
      // The function's role may send there, and no more: aws-lambda-destinations would add what only receivers need.
      onFailure: { bind: () => ({ destination: this.failed.queueArn }) },
    });
    const identity = new EmailIdentity(this, 'Identity', { identity: Identity.domain(domain) });
    const rules = new ReceiptRuleSet(this, 'Rules');
    rules.addRule('Mails', {
      recipients: [domain],
      scanEnabled: true,
      actions: [
        new S3({ bucket, objectKeyPrefix }),
        new Lambda({ function: handler, invocationType: LambdaInvocationType.EVENT }),
      ],
    });
    const output = (name: string, value: string, description: string): void => {
      new CfnOutput(Stack.of(this), name, { value, description });
    };
    output(
      'ReportsMx',
      `${domain}. MX 10 inbound-smtp.${region}.amazonaws.com.`,
      'Where reports are sent to',
    );
    output(
      'ReportsIdentity',
      identity.dkimRecords.map(({ name, value }) => `${name}. CNAME ${value}.`).join(' '),
      'Records that prove the domain to SES, which receives for no other',
    );
    output(
      'ReportsFailedUrl',
      this.failed.queueUrl,
      'Mails with reports that were not taken in: docs/operations.md#reports-not-taken-in',
    );
    output('ReportsBucket', this.bucket.bucketName, 'Mails with reports, for 30 days');
    output(
      'ReportsActivate',
      `aws ses set-active-receipt-rule-set --rule-set-name ${rules.receiptRuleSetName}`,
      'Once; it takes the place of whatever rule set is active in this account and region',
    );
  }
}
