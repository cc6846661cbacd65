// The names of the ledger's DynamoDB table, that its three users share: the adapter that reads and writes it, the stack
// that creates it, and tests. What the items hold is said in adapters/aws/ledger-items.ts.

export const ledgerTable = {
  /** Strings, both. */
  partitionKey: 'pk',
  sortKey: 'sk',
  /** Seconds since 1970 from which DynamoDB may delete the item; of most there is none. */
  expires: 'expires',
  /** The global secondary index of what is due. An item without its two attributes (strings) is not in it. */
  dueIndex: {
    name: 'due',
    partitionKey: 'dueShard',
    sortKey: 'dueAt',
    /** All that it projects besides the keys. */
    projected: ['zone'],
  },
  /** The same of all events of the audit trails, by their time. */
  trailIndex: {
    name: 'trail',
    partitionKey: 'trailShard',
    sortKey: 'trailAt',
    projected: ['body'],
  },
} as const;

/** Over how many partitions the due index is spread. To change it: every item's `dueShard` is written anew. */
export const dueShards = 8;

/** The same of the trail index. An order of a hundred thousand domains writes as many events. */
export const trailShards = 4;
