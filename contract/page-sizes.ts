// How many items a page of each of the API's lists has, and how far a forecast looks: what its routes go by, and what its document
// says.

export const pageSizes = {
  domains: { usual: 100, most: 500 },
  hosts: { usual: 500, most: 1_000 },
  /** Each bears a private key, some 3 KB where it is a large one; an answer of Lambda holds 6 MB. */
  disclosed: { usual: 100, most: 500 },
  /** An event is some hundred bytes, its reason 500 characters at most: far below those 6 MB. */
  trail: { usual: 100, most: 1_000 },
  orders: { usual: 100, most: 500 },
  /** A report holds a hundred findings. */
  drift: { usual: 20, most: 50 },
  /** Each domain is a query of its own. */
  reports: { usual: 100, most: 200 },
  /** Zones, whose name servers are asked. */
  byHand: { usual: 20, most: 100 },
} as const;

export const forecastDays = { usual: 120, most: 3_650 } as const;
