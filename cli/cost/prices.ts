// What AWS asks for the services that Selkie uses: dollars in us-east-1 (Virginia), without free tiers and discounts. Data only.
// Other regions ask for up to a third more.

interface Price {
  /** Dollars for `per` units. */
  readonly dollars: number;
  readonly per: number;
  /** Where AWS says so. */
  readonly source: string;
}

const million = 1_000_000;
const page = (service: string): string => `https://aws.amazon.com/${service}/pricing/`;

/** When the prices were last looked up. */
export const pricesOf = '2026-11-24';

export const prices = {
  /** A month of one secret. Nothing once it is scheduled for deletion: docs.aws.amazon.com, manage_delete-secret. */
  secret: { dollars: 0.4, per: 1, source: page('secrets-manager') },
  secretCall: { dollars: 0.05, per: 10_000, source: page('secrets-manager') },
  /** A month of a key; of each of the first two generations of its material besides. */
  kmsKey: { dollars: 1, per: 1, source: page('kms') },
  kmsCall: { dollars: 0.03, per: 10_000, source: page('kms') },
  kmsSignature: { dollars: 0.15, per: 10_000, source: page('kms') },
  writeUnit: { dollars: 0.625, per: million, source: page('dynamodb') },
  readUnit: { dollars: 0.125, per: million, source: page('dynamodb') },
  /** GB-month of a table, and of its continuous backup. */
  tableStorage: { dollars: 0.25, per: 1, source: page('dynamodb') },
  tableBackup: { dollars: 0.2, per: 1, source: page('dynamodb') },
  invocation: { dollars: 0.2, per: million, source: page('lambda') },
  /** Of an arm64 function. */
  gigabyteSecond: { dollars: 13.3334, per: million, source: page('lambda') },
  queueRequest: { dollars: 0.4, per: million, source: page('sqs') },
  apiRequest: { dollars: 1, per: million, source: page('api-gateway') },
  schedule: { dollars: 1, per: million, source: page('eventbridge') },
  logGigabyte: { dollars: 0.5, per: 1, source: page('cloudwatch') },
  metric: { dollars: 0.3, per: 1, source: page('cloudwatch') },
  alarmMetric: { dollars: 0.1, per: 1, source: page('cloudwatch') },
  dashboard: { dollars: 3, per: 1, source: page('cloudwatch') },
  trace: { dollars: 5, per: million, source: page('xray') },
  transferGigabyte: { dollars: 0.09, per: 1, source: page('ec2/on-demand') },
  zone: { dollars: 0.5, per: 1, source: page('route53') },
  /** Each beyond the first 25. */
  furtherZone: { dollars: 0.1, per: 1, source: page('route53') },
  /** A month of each record beyond 10,000 of one zone. */
  furtherRecord: { dollars: 0.0015, per: 1, source: page('route53') },
} as const satisfies Readonly<Record<string, Price>>;

export type PriceName = keyof typeof prices;

export const dollarsFor = (quantity: number, name: PriceName): number =>
  (quantity * prices[name].dollars) / prices[name].per;
