// Checks audit events that came over the wire, and makes their hashes. May use core and SHA-256 only.

import { createHash } from 'node:crypto';
import {
  type AuditEvent,
  type AuditTail,
  type ChainVerdict,
  judgeChain,
  type Sha256,
} from '../core/audit.ts';

export const sha256: Sha256 = (text) => createHash('sha256').update(text, 'utf8').digest('hex');

/**
 * Whether events in their order are one unbroken chain, each as it was written: `n` and `says` of the first that is not.
 * That none is missing at the end, the chain itself cannot tell: compare the last with the row's tail, `last` of GET
 * /v1/domains/{domain}/audit, or with one that was noted elsewhere.
 * @param after the event before the first of them, where they do not begin with the first of all
 */
export const verifyAuditChain = (events: readonly AuditEvent[], after?: AuditTail): ChainVerdict =>
  judgeChain(events, sha256, after);
