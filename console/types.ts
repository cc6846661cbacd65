// What the API answers, as the schemas of its own document say. Types only: no code of the contract comes into the page.

import type * as z from 'zod/mini';
import type * as answers from '../contract/api/answers.ts';

export type Domain = z.infer<typeof answers.domain>;
export type Domains = z.infer<typeof answers.domains>;
export type KeyDetail = z.infer<typeof answers.keyDetail>;
export type Keys = z.infer<typeof answers.keys>;
export type Rotation = z.infer<typeof answers.rotation>;
export type Blocked = z.infer<typeof answers.blocked>;
export type Forecast = z.infer<typeof answers.forecast>;
export type Foreseen = Forecast['events'][number];
export type Host = z.infer<typeof answers.host>;
export type Hosts = z.infer<typeof answers.hosts>;
export type AuditEvent = z.infer<typeof answers.auditEvent>;
export type Trail = z.infer<typeof answers.domainAudit>;
export type NewestOrders = z.infer<typeof answers.newestOrders>;
export type ByHand = z.infer<typeof answers.byHand>;
export type DomainReports = z.infer<typeof answers.domainReports>;
export type Drift = z.infer<typeof answers.drift>;
