// Every operation of the HTTP API, as data: the OpenAPI document is made of it, and tests hold it against the application.
// No function ships it.

import type * as z from 'zod/mini';
import { compromiseRequest, manyRequest, reasonRequest, rotationRequest } from '../api.ts';
import { auditRequest } from '../drift.ts';
import { forecastDays, pageSizes } from '../page-sizes.ts';
import { reportDays } from '../reports.ts';
import * as answers from './answers.ts';

/** As many schemas as the document names; the key is the name there. */
export const schemas = {
  Problem: answers.problem,
  Time: answers.time,
  Algorithm: answers.algorithm,
  Key: answers.key,
  KeyDetail: answers.keyDetail,
  KeyAnswer: answers.keyAnswer,
  Keys: answers.keys,
  Rotation: answers.rotation,
  Rotations: answers.rotations,
  RotationAnswer: answers.rotationAnswer,
  Blocked: answers.blocked,
  PolicyRecord: answers.policyRecord,
  Domain: answers.domain,
  Domains: answers.domains,
  Plan: answers.plan,
  Forecast: answers.forecast,
  Disclosed: answers.disclosed,
  Ordered: answers.ordered,
  OrderedMany: answers.orderedMany,
  WeighedMany: answers.weighedMany,
  Declared: answers.declared,
  Host: answers.host,
  Hosts: answers.hosts,
  DomainHosts: answers.domainHosts,
  Health: answers.health,
  Excluded: answers.excluded,
  Returned: answers.returned,
  AuditEvent: answers.auditEvent,
  DomainAudit: answers.domainAudit,
  HostAudit: answers.hostAudit,
  FleetAudit: answers.fleetAudit,
  NewestOrders: answers.newestOrders,
  Audits: answers.audits,
  Drift: answers.drift,
  ByHand: answers.byHand,
  ImportedReports: answers.importedReports,
  ReportRates: answers.reportRates,
  DomainReports: answers.domainReports,
  BundleKeys: answers.bundleKeys,
  OpenApi: answers.openApi,
  RotationRequest: rotationRequest,
  ManyRequest: manyRequest,
  CompromiseRequest: compromiseRequest,
  ReasonRequest: reasonRequest,
  AuditRequest: auditRequest,
} satisfies Record<string, z.ZodMiniType>;

export type SchemaName = keyof typeof schemas;

/** A parameter of a query. */
export type QueryName =
  | 'after'
  | 'limit'
  | 'days'
  | 'order'
  | 'selector'
  | 'unsigned'
  | 'zone'
  | 'subject'
  | 'who'
  | 'what';

export interface Operation {
  readonly method: 'get' | 'post' | 'delete';
  /** As OpenAPI writes it: `{name}` stands for one segment. */
  readonly path: string;
  readonly id: string;
  readonly says: string;
  readonly query?: readonly QueryName[];
  /** The most that `limit` or `days` may be, and what it is where it is not said. */
  readonly bound?: { readonly usual: number; readonly most: number };
  /** The same of `days`, where the operation has both. */
  readonly days?: { readonly usual: number; readonly most: number };
  /** A body in JSON; `token`: a compact JWS in plain text; `report`: bytes. */
  readonly body?: SchemaName | 'token' | 'report';
  /** An order: it takes an Idempotency-Key and leaves an audit event. */
  readonly order?: true;
  readonly answer: {
    readonly status: 200 | 202 | 204;
    /** `token`: a compact JWE in plain text; absent: no body. */
    readonly schema?: SchemaName | 'token';
    /** May be a 204 too. */
    readonly orNone?: true;
    readonly headers?: readonly ('Link' | 'Location')[];
  };
  /** Problems besides 400, 403, 404 and 503. */
  readonly problems?: readonly (409 | 502)[];
  /** Nobody is asked who he is, or the host's own key says it. */
  readonly open?: true;
}

const domain = '/v1/domains/{domain}';
const host = '/v1/hosts/{host}';
const accepted = (schema: SchemaName) => ({ status: 202, schema, headers: ['Location'] }) as const;
const paged = (schema: SchemaName) => ({ status: 200, schema, headers: ['Link'] }) as const;
const shown = (schema: SchemaName) => ({ status: 200, schema }) as const;

const many = (path: string, of: 'All' | 'Zone' | 'Pool', which: string): readonly Operation[] => [
  {
    method: 'get',
    path,
    id: `weigh${of}`,
    says: `How many an order to rotate ${which} would mean, and how long it would take to begin with each; nothing is ordered by asking`,
    answer: shown('WeighedMany'),
  },
  {
    method: 'post',
    path,
    id: `rotate${of}`,
    says: `Rotate ${which}, as fast as the provider takes them; each has its rotation, and its event in the trail`,
    body: 'ManyRequest',
    order: true,
    answer: accepted('OrderedMany'),
    problems: [409],
  },
];

const trail = (of: string, id: string, schema: SchemaName, whose: string): Operation => ({
  method: 'get',
  path: `${of}/audit`,
  id,
  says: `What was ordered for ${whose}, from the beginning, chained by hashes`,
  query: ['after', 'limit'],
  bound: pageSizes.trail,
  answer: paged(schema),
});

/** An order that is followed by its rotation. */
const ordered = (path: string, id: string, body: SchemaName, says: string): Operation => ({
  method: 'post',
  path: `${domain}/${path}`,
  id,
  says,
  body,
  order: true,
  answer: accepted('Ordered'),
  problems: [409],
});

export const operations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/domains',
    id: 'listDomains',
    says: 'The domains in the order of their names, page by page',
    query: ['after', 'limit'],
    bound: pageSizes.domains,
    answer: paged('Domains'),
  },
  ...many('/v1/rotations', 'All', 'all domains'),
  ...many('/v1/zones/{zone}/rotations', 'Zone', 'the domains of a record zone'),
  ...many('/v1/pools/{pool}/rotations', 'Pool', 'the domains that the hosts of a pool sign for'),
  {
    method: 'get',
    path: '/v1/audit',
    id: 'getFleetAudit',
    says: 'What was ordered of the fleet, a zone or a pool, from the beginning, chained by hashes: rotations of many, audits',
    query: ['after', 'limit'],
    bound: pageSizes.trail,
    answer: paged('FleetAudit'),
  },
  {
    method: 'get',
    path: domain,
    id: 'getDomain',
    says: 'What a domain signs with, what comes next, and what it waits for',
    answer: shown('Domain'),
  },
  {
    method: 'get',
    path: `${domain}/keys`,
    id: 'listKeys',
    says: 'All keys of a domain that are remembered, those that are gone too',
    answer: shown('Keys'),
  },
  {
    method: 'get',
    path: `${domain}/keys/{selector}`,
    id: 'getKey',
    says: 'One key: its state, its public half, and when each of its steps was done',
    answer: shown('KeyAnswer'),
  },
  {
    method: 'post',
    path: `${domain}/keys/{selector}/compromise`,
    id: 'declareCompromised',
    says: 'Others may hold this key, whatever its state: where it signs, an emergency rotation replaces it; any other is revoked without the time of its drain',
    body: 'CompromiseRequest',
    order: true,
    answer: accepted('Declared'),
    problems: [409],
  },
  {
    method: 'get',
    path: `${domain}/rotations`,
    id: 'listRotations',
    says: 'All rotations of a domain that are remembered, oldest first',
    answer: shown('Rotations'),
  },
  ordered(
    'rotations',
    'rotate',
    'RotationRequest',
    'Rotate now. One that is under way is joined; an emergency takes the place of one that has not switched',
  ),
  {
    method: 'get',
    path: `${domain}/rotations/{rotation}`,
    id: 'getRotation',
    says: 'One rotation: its state, its keys, and what it waits for',
    answer: shown('RotationAnswer'),
  },
  ordered(
    'rollback',
    'rollBack',
    'ReasonRequest',
    'Go back to the key set before; where the rotation under way has not switched, give it up',
  ),
  ordered(
    'abort',
    'abort',
    'ReasonRequest',
    'Give up the rotation under way; one that has switched is rolled back',
  ),
  {
    method: 'get',
    path: `${domain}/plan`,
    id: 'getPlan',
    says: 'What would be done at this moment, and what it waits for',
    answer: shown('Plan'),
  },
  {
    method: 'get',
    path: `${domain}/forecast`,
    id: 'getForecast',
    says: 'What will happen if nothing goes wrong; with order, if that were ordered now, which it is not by asking',
    query: ['days', 'order', 'selector', 'unsigned'],
    bound: forecastDays,
    answer: shown('Forecast'),
    problems: [409],
  },
  {
    method: 'get',
    path: `${domain}/disclosed`,
    id: 'listDisclosed',
    says: 'The private halves of retired keys that were published, where the policy says disclose: after-removal',
    query: ['after', 'limit'],
    bound: pageSizes.disclosed,
    answer: paged('Disclosed'),
  },
  trail(domain, 'getDomainAudit', 'DomainAudit', 'a domain'),
  {
    method: 'get',
    path: `${domain}/hosts`,
    id: 'listDomainHosts',
    says: "What each mail host of a domain's pool last said of its keys, and what it should sign with",
    answer: shown('DomainHosts'),
  },
  {
    method: 'get',
    path: '/v1/health',
    id: 'getHealth',
    says: 'How the control plane stands: clocks, the fleet that is installed, silent hosts, work that nobody does',
    answer: shown('Health'),
  },
  {
    method: 'get',
    path: '/v1/hosts',
    id: 'listHosts',
    says: 'The mail hosts of the fleet in the order of their names, page by page',
    query: ['after', 'limit'],
    bound: pageSizes.hosts,
    answer: paged('Hosts'),
  },
  {
    method: 'get',
    path: host,
    id: 'getHost',
    says: 'One mail host: whether it counts, what it has, what troubles it',
    answer: shown('Host'),
  },
  trail(host, 'getHostAudit', 'HostAudit', 'a mail host'),
  {
    method: 'get',
    path: '/v1/orders',
    id: 'listOrders',
    says: 'What was ordered in the whole fleet, the newest first, page by page; a page may be empty and yet have a next',
    query: ['subject', 'who', 'what', 'after', 'limit'],
    bound: pageSizes.orders,
    answer: paged('NewestOrders'),
  },
  {
    method: 'post',
    path: `${host}/exclusion`,
    id: 'excludeHost',
    says: 'Rotations no longer wait for this host',
    body: 'ReasonRequest',
    order: true,
    answer: shown('Excluded'),
    problems: [409],
  },
  {
    method: 'delete',
    path: `${host}/exclusion`,
    id: 'returnHost',
    says: 'The host counts again, once it holds a full snapshot',
    body: 'ReasonRequest',
    order: true,
    answer: shown('Returned'),
    problems: [409],
  },
  {
    method: 'post',
    path: '/v1/drift',
    id: 'orderAudit',
    says: 'Compare every record, secret, row and host with the ledger, or one zone; what is ours is put back',
    body: 'AuditRequest',
    order: true,
    answer: accepted('Audits'),
    problems: [409],
  },
  {
    method: 'get',
    path: '/v1/drift',
    id: 'getDrift',
    says: 'What the last audits found, page by page',
    query: ['after', 'limit'],
    bound: pageSizes.drift,
    answer: paged('Drift'),
  },
  {
    method: 'post',
    path: '/v1/reports',
    id: 'importReports',
    says: 'Take in a DMARC aggregate report: XML, gzip, zip, or a mail with one of them. One that is known changes nothing',
    body: 'report',
    order: true,
    answer: shown('ImportedReports'),
  },
  {
    method: 'get',
    path: '/v1/reports',
    id: 'listReports',
    says: 'What aggregate reports of the last days say of each domain that has some, page by page; a page may be empty and yet have a next',
    query: ['days', 'after', 'limit'],
    bound: pageSizes.reports,
    days: reportDays,
    answer: paged('ReportRates'),
  },
  {
    method: 'get',
    path: `${domain}/reports`,
    id: 'getReports',
    says: 'What aggregate reports of the last days say of a domain: by day, selector, source and reporter',
    query: ['days'],
    bound: reportDays,
    answer: shown('DomainReports'),
  },
  {
    method: 'get',
    path: '/v1/by-hand',
    id: 'listByHand',
    says: 'What people are asked to change in zones that no program can change, zone by zone, and what the name servers show now',
    query: ['zone', 'after', 'limit'],
    bound: pageSizes.byHand,
    answer: paged('ByHand'),
  },
  {
    method: 'get',
    path: '/v1/bundle-keys',
    id: 'listBundleKeys',
    says: 'The public keys that hosts are to trust for bundles, as JWKs: a host that enrols compares their thumbprint with the one that it was told',
    answer: shown('BundleKeys'),
    open: true,
  },
  {
    method: 'post',
    path: `${host}/pull`,
    id: 'pull',
    says: 'A host asks for what is new: a JWS by its own key. The answer is a bundle sealed to it, or nothing',
    body: 'token',
    answer: { status: 200, schema: 'token', orNone: true },
    open: true,
  },
  {
    method: 'post',
    path: `${host}/acknowledgements`,
    id: 'acknowledge',
    says: 'A host says what it has applied: a JWS by its own key',
    body: 'token',
    answer: { status: 204 },
    open: true,
  },
  {
    method: 'get',
    path: '/openapi.json',
    id: 'getOpenApi',
    says: 'This document',
    answer: shown('OpenApi'),
  },
];
