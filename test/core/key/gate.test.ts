// Gates: who is waited for, what is said meanwhile, and who is fenced.
import { describe, expect, it } from 'vitest';
import type { HostView } from '../../../core/key/evidence.ts';
import { type GateOptions, gate, hostsBehind } from '../../../core/key/gate.ts';
import { add, minutes } from '../../../core/time.ts';
import { host, place, row, situation, t } from './made.ts';

const options: GateOptions = {
  selector: '240128e',
  place,
  told: t,
  what: 'hold 240128e',
  passed: { do: 'latch', selector: '240128e', gate: 'standby' },
  usable: true,
  emergency: false,
};
const through = (hosts: readonly HostView[], changed: Partial<GateOptions> = {}, now = add(t, minutes(1))) =>
  gate(situation(row([]), { hosts, now }), { ...options, ...changed });

const behind = (name: string, more: Partial<HostView> = {}) => host(name, { cursor: place.n - 1, ...more });
const failing = (name: string, why: string) =>
  host(name, { failed: new Map([['example.com/240128e', why]]) });
const passed = { actions: [options.passed], blockedBy: [] };

describe('a gate', () => {
  it('is passed when every ready host has applied the place, and no other counts', () => {
    expect(through([host('mx1'), host('mx2', { cursor: 99 }), behind('mx3', { ready: false })])).toEqual(
      passed,
    );
  });

  it('waits for those behind, tells them, and says how many have', () => {
    expect(through([host('mx1'), behind('mx2'), behind('mx3')])).toEqual({
      actions: [{ do: 'tell', hosts: ['mx2', 'mx3'] }],
      wakeAt: add(t, minutes(2)),
      blockedBy: [
        {
          by: 'hosts',
          selector: '240128e',
          says: 'waiting for mx2, mx3 to hold 240128e (1 of 3 hosts have)',
        },
      ],
    });
  });

  it('does not take a cursor of another epoch for one of this', () => {
    const other = host('mx1', { epoch: 2, cursor: 99 });
    const s = situation(row([]), { hosts: [other, host('mx2')] });
    expect(hostsBehind(s, place)).toEqual([other]);
    expect(hostsBehind({ ...s, epoch: 2 }, place)).toEqual([s.hosts[1]]);
  });

  it('is never passed without a ready host; all are told but those that are excluded', () => {
    expect(
      through(
        [behind('mx1', { ready: false }), behind('mx2', { ready: false, excluded: true })],
        { emergency: true },
        add(t, minutes(60)),
      ),
    ).toEqual({
      actions: [{ do: 'tell', hosts: ['mx1'] }],
      wakeAt: add(t, minutes(61)),
      blockedBy: [
        {
          by: 'no-ready-host',
          selector: '240128e',
          says: 'pool mx has no ready host to hold 240128e: enrol one, or return one that is excluded',
        },
      ],
    });
    expect(through([]).actions).toEqual([{ do: 'tell', hosts: [] }]);
  });

  it('is held up by hosts that cannot use the key, with the first one’s reason', () => {
    expect(through([failing('mx1', 'no Ed25519'), host('mx2'), failing('mx3', 'no disk')])).toEqual({
      actions: [{ do: 'tell', hosts: ['mx1', 'mx3'] }],
      wakeAt: add(t, minutes(2)),
      blockedBy: [{ by: 'self-test', selector: '240128e', says: 'mx1, mx3 cannot use 240128e: no Ed25519' }],
    });
  });

  it('is not, where the key is only to stop or to be erased', () => {
    expect(through([failing('mx1', 'no Ed25519')], { usable: false })).toEqual(passed);
  });

  it('is not held up by a failure of another key, or of a host that is not ready', () => {
    const other = host('mx1', { failed: new Map([['example.com/240127e', 'no disk']]) });
    expect(through([other, { ...failing('mx2', 'no disk'), ready: false }])).toEqual(passed);
  });
});

describe('a host that was sent keys and has not answered', () => {
  const unheard = host('mx2', { ready: false, unheard: true });

  it('is waited for where copies are to be gone: it may have some', () => {
    expect(through([host('mx1'), unheard], { usable: false, holders: true, what: 'erase 240128e' })).toEqual({
      actions: [{ do: 'tell', hosts: ['mx2'] }],
      wakeAt: add(t, minutes(2)),
      blockedBy: [
        {
          by: 'hosts',
          selector: '240128e',
          says: 'waiting for mx2 to erase 240128e (1 of 2 hosts have)',
        },
      ],
    });
  });

  it('is not waited for elsewhere, nor one that was sent nothing', () => {
    expect(through([host('mx1'), unheard])).toEqual(passed);
    expect(through([host('mx1'), host('mx2', { ready: false })], { holders: true })).toEqual(passed);
  });
});

describe('a silent host', () => {
  const fenceTime = add(t, minutes(10));
  const fence = {
    actions: [
      {
        do: 'fence',
        hosts: ['mx2'],
        reason: 'silent in the emergency of example.com since 2024-01-28T09:00:00.000Z',
      },
    ],
    blockedBy: [],
  };

  it('is fenced in an emergency, 10 minutes after it was told, and not before', () => {
    const hosts = [host('mx1'), behind('mx2')];
    expect(through(hosts, { emergency: true }, fenceTime)).toEqual(fence);
    expect(through(hosts, { emergency: true }, add(fenceTime, minutes(5)))).toEqual(fence);
    expect(through(hosts, { emergency: true }, add(t, minutes(9))).actions).toEqual([
      { do: 'tell', hosts: ['mx2'] },
    ]);
  });

  it('is not fenced where it is no emergency', () => {
    expect(through([host('mx1'), behind('mx2')], {}, fenceTime).actions).toEqual([
      { do: 'tell', hosts: ['mx2'] },
    ]);
  });

  it('is not fenced where no other has answered: the last is never fenced', () => {
    expect(through([behind('mx1'), behind('mx2')], { emergency: true }, fenceTime).actions).toEqual([
      { do: 'tell', hosts: ['mx1', 'mx2'] },
    ]);
  });
});
