// Bodies of the HTTP API's part on drift. May use zod/mini and core only.

import * as z from 'zod/mini';
import { isDnsName, lowerName } from '../core/names.ts';
import { reason } from './api.ts';

/** POST /v1/drift */
export interface AuditRequest {
  /** A record zone of the fleet; absent: everything. */
  readonly zone?: string;
  readonly reason?: string;
}

export const auditRequest: z.ZodMiniType<AuditRequest> = z.strictObject({
  zone: z.exactOptional(
    z.string().check(
      z.maxLength(254),
      z.refine((text) => isDnsName(lowerName(text)), 'must be a DNS name, such as example.org'),
    ),
  ),
  reason: z.exactOptional(reason),
});
