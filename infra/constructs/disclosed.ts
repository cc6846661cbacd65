// Where private halves of retired keys are published, for domains whose policy says so: docs/adr/0015-disclosure.md. The bucket
// itself stays shut. Whoever wants its content on a web site lets a CDN read it, or copies it.

import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { ClosedBucket } from './closed-bucket.ts';

export class Disclosed extends Construct {
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.bucket = new ClosedBucket(this, 'Keys', {
      withoutLogBecause:
        'What is in it is published on purpose. Who reads a public file is the business of the web server or CDN that shows it.',
    });
  }
}
