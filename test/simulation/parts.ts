// What the parts of a simulated world show each other, and what is told of it afterwards.

import type { Seals } from '../../contract/seals.ts';
import type { FleetHost } from '../../core/policy.ts';
import type { Keys } from '../../engine/ports.ts';
import type { World } from '../../engine/world.ts';
import type { Weather } from './calls.ts';
import type { Checker, Violation } from './checker.ts';
import type { Coverage } from './coverage.ts';
import type { SimulatedDns, SimulatedZone } from './dns.ts';
import type { FleetFile } from './fleet-file.ts';
import type { FormerKey, MailHost } from './hosts.ts';
import type { MemoryLedger } from './ledger.ts';
import type { Loop } from './loop.ts';
import type { Mail } from './mail.ts';
import type { PolicyJudge } from './policy-judge.ts';
import type { Random } from './random.ts';
import type { Scenario } from './scenario.ts';
import type { Standing } from './standing.ts';
import type { HostSeals } from './symbols.ts';
import type { Crew } from './workers.ts';

export interface Figures {
  rotations: number;
  events: number;
  commits: number;
  signed: number;
  verified: number;
  tempfailed: number;
  forgiven: number;
  checks: number;
}

export interface Outcome {
  readonly violations: readonly Violation[];
  readonly figures: Figures;
  readonly coverage: Coverage;
  readonly timeline: readonly string[];
}

/** Real cryptography in place of symbols, for some worlds. */
export interface Cryptography {
  /** Whether some of it is under way. */
  isBusy(): boolean;
  readonly keys: Keys;
  readonly seals: Seals;
  hostSeals(
    name: string,
  ): Promise<{ readonly seals: HostSeals; readonly fleet: Pick<FleetHost, 'encryptionKey' | 'signingKey'> }>;
}

/** What the parts of a world show each other. */
export interface WorldParts {
  readonly scenario: Scenario;
  readonly loop: Loop;
  readonly random: Random;
  readonly weather: Weather;
  readonly checker: Checker;
  readonly policyJudge: PolicyJudge;
  readonly dns: SimulatedDns;
  readonly ledger: MemoryLedger;
  readonly vault: { readonly secrets: ReadonlyMap<string, Uint8Array> };
  readonly crew: Crew;
  readonly mail: Mail;
  readonly hosts: readonly MailHost[];
  readonly file: FleetFile;
  /** The keys that domains signed with before. */
  readonly former: readonly FormerKey[];
  readonly standing: Standing;
  readonly trace: ((says: string) => void) | undefined;
  /** A newer fleet file is deployed; workers take it up one after the other. */
  deploy(change: () => void, force?: string): void;
  power(host: MailHost, powered: boolean): void;
  leasesFailUntil(time: number): void;
  eventualUntil(time: number): void;
  asked(domain: string, key: string): void;
  answered(domain: string, key: string, rotation: string): void;
  hurried(domain: string): void;
  /** The hand has done what it could; the traces of its error go from servers and caches. */
  mended(zone: SimulatedZone, name: string, ttl: number): void;
  /** Ends a fault after some time, or when all faults stop. */
  later(length: number, run: () => void): void;
  /** Asks the API until it is answered. */
  insist(what: string, order: (world: World) => Promise<unknown>): void;
  /** A fault of this kind is at work until then. */
  met(fault: string | undefined, until: number): void;
  failed(error: unknown, doing: string): void;
  /** The newest fleet's world, with nothing at fault. */
  still(): World;
  /** The ledger has forgotten which requests it answered. */
  forgotten(): void;
  /** How often it has. */
  restores(): number;
}
