// How a mail host stands, in the words of the API: whether rotations wait for it, and what troubles it. Pure.

/** As the API shows a host. */
export interface ShownHost {
  /** Whether rotations wait for it. */
  readonly ready: boolean;
  readonly excluded?: string;
  readonly fenced?: string;
  readonly trouble?: string;
  /** domain/selector, and why it cannot be used. */
  readonly failed: Readonly<Record<string, string>>;
}

export type Standing = 'ready' | 'not ready' | 'excluded' | 'fenced';

export const hostStanding = ({ ready, excluded, fenced }: ShownHost): Standing =>
  excluded !== undefined ? 'excluded' : fenced !== undefined ? 'fenced' : ready ? 'ready' : 'not ready';

export const hostTroubles = ({ excluded, fenced, trouble, failed }: ShownHost): readonly string[] => [
  ...[excluded, fenced, trouble].filter((text) => text !== undefined),
  ...Object.entries(failed).map(([key, why]) => `cannot use ${key}: ${why}`),
];
