// The watcher must be able to say no: a life that is in order, and one deviation in each row.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { emptyRow } from '../../core/key/row.ts';
import { defaultPolicy } from '../../core/policy.ts';
import { add, type Duration, days, hours, type Instant, instant, minutes } from '../../core/time.ts';
import type { AskedChange, ListedSet } from '../fakes/route53-changes.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { type Asked, jsonAnswer, type Service } from './aws-request.ts';
import { createWatch, type Watch } from './aws-watch.ts';
import type { Records } from './strict-account.ts';

const domain = 'example.com';
const selector = '260112e';
const name = `${selector}._domainkey.${domain}`;
const host = 'mx1.example.com';
const tombstone = 'v=DKIM1; k=ed25519; p=';

const make = () => {
  const folder = temporaryFolder();
  const index = join(folder, 'index.json');
  let at: Instant = instant(Date.UTC(2026, 0, 12));
  let records: Records = new Map();
  let shown: Records | undefined;
  const watch: Watch = createWatch({
    now: () => at,
    policy: defaultPolicy,
    domains: [domain],
    secretPrefix: 'selkie',
    stores: new Map([[host, index]]),
    views: () => [shown ?? records],
    log: () => {},
  });
  const pair = generateKeyPairSync('ed25519');
  const pkcs8 = pair.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64');
  const says = (service: Service, operation: string, body: object): void => {
    const asked: Asked = {
      service,
      operation,
      method: 'POST',
      path: '/',
      headers: {},
      body: Buffer.from(JSON.stringify(body)),
    };
    watch.answered(asked, jsonAnswer(200, {}));
  };
  const put = (pk: string, body: object): void =>
    says('dynamodb', 'TransactWriteItems', {
      TransactItems: [
        { Put: { Item: { pk: { S: pk }, sk: { S: 'x' }, body: { S: JSON.stringify(body) } } } },
      ],
    });
  const setOf = (value: string): ListedSet => ({
    name: `${name}.`,
    type: 'TXT',
    ttl: 3_600,
    values: [`"${value}"`],
  });
  const evidence = { reserved: { at } };
  const story = {
    watch,
    says,
    pass: (length: Duration): void => {
      at = add(at, length);
    },
    lag: (): void => {
      shown = records;
    },
    store: (): void =>
      says('secretsmanager', 'CreateSecret', { Name: `selkie/${domain}/${selector}`, SecretBinary: pkcs8 }),
    destroy: (): void => says('secretsmanager', 'DeleteSecret', { SecretId: `selkie/${domain}/${selector}` }),
    /** What stands at the name from now on; undefined: nothing. */
    stand: (value: string | undefined, actions: readonly string[] = ['CREATE']): void => {
      const next: Records = value === undefined ? new Map() : new Map([[name, setOf(value)]]);
      const changes = actions.map((action): AskedChange => ({ action, set: setOf(value ?? '') }));
      watch.changing(domain, changes, records, next);
      records = next;
    },
    key: `v=DKIM1; k=ed25519; p=${publicKey}`,
    pkcs8,
    tell: (duty: string): void =>
      put('pool#main', {
        place: { epoch: 1, n: 1 },
        changes: [{ domain, selector, algorithm: 'ed25519', duty, secret: 's', publicKey }],
      }),
    hold: (duty?: string): void =>
      writeFileSync(
        index,
        JSON.stringify({ keys: duty === undefined ? {} : { [`${domain}/${selector}`]: ['f', duty] } }),
      ),
    ready: (): void =>
      put('host', { name: host, pool: 'main', version: 1, complete: true, failed: {}, lastUse: {} }),
    forget: (version: number): void => put('domain', { ...emptyRow(domain, domain, 'main'), version }),
    row: (version: number, facts: object = {}): void =>
      put('domain', {
        ...emptyRow(domain, domain, 'main'),
        version,
        keys: [
          {
            selector,
            algorithm: 'ed25519',
            rotation: 'r',
            evidence: { ...evidence, ...facts },
            turns: [{ begun: { at } }],
          },
        ],
      }),
  };
  story.hold();
  story.ready();
  return story;
};

type Story = ReturnType<typeof make>;

const untilSigned = (s: Story): void => {
  s.store();
  s.stand(s.key);
  s.tell('standby');
  s.hold('standby');
  s.tell('signing');
  s.hold('signing');
  s.watch.signed(domain, selector);
};

const untilDrained = (s: Story): void => {
  untilSigned(s);
  s.hold('standby');
  s.pass(days(8));
};

const untilRevoked = (s: Story): void => {
  untilDrained(s);
  s.stand(tombstone, ['DELETE', 'CREATE']);
  s.pass(days(7));
};

describe('the watcher of an AWS account', () => {
  let s: Story;
  beforeEach(() => {
    s = make();
  });

  test('finds nothing in a life that is in order', () => {
    untilRevoked(s);
    // Its answer was lost: the tombstone again, for a change id.
    s.stand(tombstone, ['DELETE', 'CREATE']);
    s.pass(days(7));
    s.stand(undefined, ['DELETE']);
    s.hold();
    s.destroy();
    s.row(1);
    s.row(2, { stored: { at: 1, secret: 'x', fingerprint: 'f', publicKey: 'p' } });
    s.watch.printed('a line that says what was done');
    expect(s.watch.violations).toEqual([]);
  });

  const rows: readonly (readonly [string, RegExp, (s: Story) => void])[] = [
    ['a record without a secret', /5: .* the vault has no secret/, (s) => s.stand(s.key)],
    [
      'a record of another key',
      /5: .* another key than the vault/,
      (s) => {
        s.store();
        s.stand('v=DKIM1; k=ed25519; p=AAAA');
      },
    ],
    [
      'an UPSERT',
      /4: UPSERT/,
      (s) => {
        s.store();
        s.stand(s.key, ['UPSERT']);
      },
    ],
    [
      'a second key at a selector',
      /4: .* a second key/,
      (s) => {
        s.store();
        s.stand(s.key);
        s.stand(undefined, ['DELETE']);
        s.stand('v=DKIM1; k=ed25519; p=AAAA');
      },
    ],
    [
      'signing before a name server shows the record',
      /2: .* 1 of 2 places/,
      (s) => {
        s.store();
        s.lag();
        s.stand(s.key);
        s.tell('signing');
      },
    ],
    [
      'revoking before the drain ends',
      /1: .* is withdrawn before/,
      (s) => {
        untilSigned(s);
        s.hold('standby');
        s.pass(days(7));
        s.stand(tombstone, ['DELETE', 'CREATE']);
      },
    ],
    [
      'revoking while a host signs',
      /6: .* while the ready host/,
      (s) => {
        untilSigned(s);
        s.pass(days(8));
        s.stand(tombstone, ['DELETE', 'CREATE']);
      },
    ],
    [
      'a compromised key revoked while a host signs',
      /6: .* is revoked while/,
      (s) => {
        untilSigned(s);
        s.row(1, { compromised: { at: 1, reason: 'r' } });
        s.stand(tombstone, ['DELETE', 'CREATE']);
      },
    ],
    [
      'the same record again while hosts may sign',
      /1: .* deleted and created again/,
      (s) => {
        untilSigned(s);
        s.stand(s.key, ['DELETE', 'CREATE']);
      },
    ],
    [
      'removal without a tombstone',
      /1: .* without a tombstone/,
      (s) => {
        untilDrained(s);
        s.stand(undefined, ['DELETE']);
      },
    ],
    [
      'a tombstone that goes at once',
      /1: the tombstone/,
      (s) => {
        untilDrained(s);
        s.stand(tombstone, ['DELETE', 'CREATE']);
        s.pass(minutes(59));
        s.stand(undefined, ['DELETE']);
      },
    ],
    [
      'a secret destroyed before its record',
      /5: .* while its record stands/,
      (s) => {
        untilRevoked(s);
        s.hold();
        s.destroy();
      },
    ],
    [
      'a secret destroyed before the copies',
      /5: .* holds the key/,
      (s) => {
        untilRevoked(s);
        s.stand(undefined, ['DELETE']);
        s.destroy();
      },
    ],
    [
      'a version passed over',
      /7: .* from version 1 to 3/,
      (s) => {
        s.row(1);
        s.row(3);
      },
    ],
    [
      'a fact taken back',
      /7: the fact "inSync"/,
      (s) => {
        s.row(1, { inSync: { at: 1 } });
        s.row(2);
      },
    ],
    [
      'a key forgotten before it is destroyed',
      /7: .* is forgotten, and its secret/,
      (s) => {
        s.store();
        s.row(1);
        s.forget(2);
      },
    ],
    [
      'a private key in another service',
      /9: .* goes to sqs/,
      (s) => s.says('sqs', 'SendMessage', { MessageBody: s.pkcs8 }),
    ],
    [
      'the end of a private key in a line',
      /9: .* is printed/,
      (s) => {
        s.store();
        s.watch.printed(`oops ${s.pkcs8.slice(-44)}`);
      },
    ],
  ];

  test.each(rows)('finds %s', (_, says, happens) => {
    happens(s);
    expect(s.watch.violations).toContainEqual(expect.stringMatching(says));
  });

  test('leaves a compromised key out of what the drain protects', () => {
    untilSigned(s);
    s.row(1, { compromised: { at: 1, reason: 'r' } });
    s.hold('standby');
    s.pass(hours(1));
    s.stand(tombstone, ['DELETE', 'CREATE']);
    expect(s.watch.violations).toEqual([]);
  });
});
