// What an administrator may set for this host: `/etc/selkie-agent.yaml`, all of it optional. Reads that file only. What
// enrolment settled (name, endpoint, control plane) is in the state folder: settings.ts.
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import * as z from 'zod/mini';
import { check } from '../contract/check.ts';
import { SelkieError } from '../core/errors.ts';

export const defaultConfigFile = '/etc/selkie-agent.yaml';

const text = z.string().check(z.minLength(1));
const count = z.int().check(z.minimum(1));
/** A timer of Node's holds 24 days. */
const seconds = z.int().check(z.minimum(1), z.maximum(2_000_000));

const milter = z.strictObject({
  /** Where it listens: `unix:/PATH` or `inet:PORT@ADDRESS`. */
  listen: z._default(text, 'inet:8891@127.0.0.1'),
  /** Of a unix socket: octal, in quotes. */
  mode: z._default(
    z.string().check(z.refine((mode) => /^0?[0-7]{3}$/.test(mode), 'must be octal, in quotes: "0660"')),
    '0660',
  ),
  /** Of a unix socket: the group that Postfix is in, by name or number. */
  group: z.exactOptional(text),
  maxConnections: z._default(count, 1024),
  /** Seconds between messages and in an envelope, as long as the MTA waits for its client; libmilter's 7,210. */
  idleSeconds: z._default(seconds, 7_210),
  /** Seconds between two commands of a message's content, which the MTA has whole, and until it reads an answer. */
  contentSeconds: z._default(seconds, 300),
  /** Bytes of signed header fields that a message may have; one that has more is handled as `signing.onUnusableKey` says. */
  headerLimit: z._default(count, 1_048_576),
  /** Bytes that all connections together may hold, beyond 128 KiB each. */
  memoryLimit: z._default(count, 67_108_864),
});

const signing = z.strictObject({
  canonicalization: z._default(
    z.enum(['relaxed/relaxed', 'relaxed/simple', 'simple/relaxed', 'simple/simple']),
    'relaxed/relaxed',
  ),
  /** Clients whose mail is signed without a login: addresses and CIDR ranges. */
  internalHosts: z._default(z.array(text), ['127.0.0.0/8', '::1']),
  /**
   * Mail is signed too where one of these macros has one of these values (any, where none is listed), as OpenDKIM's
   * MacroList: `daemon_name: [ORIGINATING]`.
   */
  macros: z._default(z.record(text, z.array(text)), {}),
  /** The field that says whose mail it is; the first that is present: `[Sender, From]` for mailing lists. Of several addresses in it the first counts. */
  identityFields: z._default(z.array(z.enum(['From', 'Sender'])).check(z.minLength(1)), ['From']),
  /**
   * Who is signed for by another domain than the author's own, as in a refile SigningTable: `*` is any characters, the
   * first match counts. `match: '*@*.dev.example.jp'`, `domain: dev.example.jp`. An author's domain that has keys needs no row.
   */
  table: z._default(z.array(z.strictObject({ match: text, domain: text })), []),
  /**
   * When `i=` names the author's address: where its domain is `d=`, or also where it lies below. Not `subdomains` where the
   * key record says `t=s`: such signatures do not hold (RFC 6376 §3.6.1).
   */
  identity: z._default(z.enum(['none', 'domain', 'subdomains']), 'none'),
  /** `t=`: when a message was signed. Verifiers may refuse one in the future (RFC 6376 §3.5). */
  timestamp: z._default(z.boolean(), true),
  /** `x=`, with `t=`: days that a signature holds; more than mail may lie in queues, here and on its way. */
  expireDays: z.exactOptional(count),
  /** Fields that are signed where present, in place of the default list (RFC 6376 §5.4.1, MIME); From always is. OpenDKIM's SignHeaders. */
  signHeaders: z.exactOptional(z.array(text)),
  /** Fields named in `h=` once more than they are there, so that none can be added. They are signed too. */
  oversign: z._default(z.array(text), ['From']),
  /** What happens to mail whose key may not or cannot sign. */
  onUnusableKey: z._default(z.enum(['tempfail', 'unsigned']), 'tempfail'),
});

const records = z.strictObject({
  /** Whether a key stops when its record is gone, revoked or another at its authoritative name servers. */
  check: z._default(z.boolean(), true),
  /** Recursive resolvers that tell which servers those are; the system's where absent. `192.0.2.53`, `192.0.2.53:5353`. */
  resolvers: z.exactOptional(z.array(text).check(z.minLength(1))),
  /** Zone → its name servers as the world sees them, where this host's resolvers know others: behind a split view, say. */
  nameServers: z.exactOptional(z.record(text, z.array(text).check(z.minLength(1)))),
});

const schema = z.strictObject({
  driver: z._default(z.enum(['builtin', 'opendkim', 'rspamd']), 'builtin'),
  milter: z.prefault(milter, {}),
  signing: z.prefault(signing, {}),
  records: z.prefault(records, {}),
  log: z.prefault(
    z.strictObject({
      format: z._default(z.enum(['text', 'json']), 'text'),
      /** journald reads the standard output. */
      to: z._default(z.enum(['stdout', 'syslog']), 'stdout'),
    }),
    {},
  ),
  /** Prometheus, on loopback: `127.0.0.1:9463`. */
  metrics: z.exactOptional(text),
  /** Configuration folders of Postfix on this host; found by `postmulti` where absent. */
  postfix: z.exactOptional(z.strictObject({ configDirectories: z.array(text).check(z.minLength(1)) })),
  opendkim: z.prefault(z.strictObject({ config: z._default(text, '/etc/opendkim.conf') }), {}),
  rspamd: z.prefault(
    z.strictObject({
      /** Where the maps and keys are written; rspamd's user must be able to read it, and the agent's to enter: Debian closes /var/lib/rspamd. */
      folder: z._default(text, '/var/lib/selkie-rspamd'),
      /** Where mail enters rspamd, each way: what it signs with is observed there. `inet:PORT@ADDRESS`, `unix:/PATH`, `http://…`. */
      entrances: z._default(z.array(text).check(z.minLength(1)), ['inet:11332@127.0.0.1']),
    }),
    {},
  ),
});

export type Config = z.infer<typeof schema>;

/** @param yaml the file's text; empty: all defaults @param file its name, for errors @throws SelkieError invalid, with the field */
export const parseConfig = (yaml: string, file: string): Config => {
  let value: unknown;
  try {
    value = parse(yaml);
  } catch (error) {
    const where = error instanceof Error ? error.message.split('\n', 1)[0] : '';
    throw new SelkieError('invalid', `${file} is no YAML: ${where}`);
  }
  return check(schema, value ?? {}, `The file ${file}`);
};

/** @param file undefined: the default one, which need not be there @throws SelkieError invalid */
export const loadConfig = async (file: string | undefined): Promise<Config> => {
  const path = file ?? defaultConfigFile;
  try {
    return parseConfig(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error) || error instanceof SelkieError) throw error;
    if (error.code === 'ENOENT' && file === undefined) return parseConfig('', path);
    throw new SelkieError('invalid', `The configuration ${path} cannot be read: ${error.message}`, {
      field: 'config',
      cause: error,
    });
  }
};
