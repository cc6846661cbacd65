// What a person is to paste, as text: values stand on lines of their own, whole, so that they can be copied.
import { printStrings } from '../core/dkim/txt.ts';
import type { ByHandStatus } from '../engine/by-hand.ts';

type Zone = ByHandStatus['zones'][number];
type Change = Zone['changes'][number];
type Say = (text: string) => void;

const minute = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 16)}Z`;

const heads: Readonly<Record<Change['do'], string>> = {
  add: 'ADD this record',
  change: 'CHANGE this record',
  delete: 'DELETE this record',
};

/** As panels take it; where it is longer than one string, also cut, in quotation marks. */
const printValue = (label: string, { value, strings }: Change['add'][number], say: Say): void => {
  say(`   ${label}`);
  say(value);
  if (strings.length <= 1) return;
  say('   or, where the panel wants strings of at most 255 characters:');
  say(printStrings(strings, 'zone'));
};

const printChange = (change: Change, n: number, zone: string, say: Say): void => {
  say('');
  say(`${n}. ${heads[change.do]}  (asked ${minute(change.asked)})`);
  say(`   name   ${change.host}`);
  if (change.host !== change.name)
    say(`          (in full ${change.name}; the panel may add .${zone} itself)`);
  say('   type   TXT');
  if (change.do !== 'delete') say(`   TTL    ${change.ttl}, or less where the panel has no such choice`);
  for (const value of change.remove) printValue(change.do === 'delete' ? 'value' : 'old value', value, say);
  for (const value of change.add) printValue(change.do === 'change' ? 'new value' : 'value', value, say);
  const what = change.do === 'delete' ? 'no longer show it' : 'show it';
  if (change.servers > 0) say(`   ${change.shown} of ${change.servers} name servers ${what}`);
  for (const each of change.showing) say(`   ✓ ${each}`);
  for (const each of change.lagging) say(`   - ${each}`);
};

export const printByHand = ({ zone, changes }: Zone, say: Say): void => {
  say(`${zone}: ${changes.length === 1 ? 'one change' : `${changes.length} changes`} to make in its panel`);
  for (const [index, change] of changes.entries()) printChange(change, index + 1, zone, say);
  say('');
  say('Selkie looks every few minutes and goes on by itself once every name server shows it.');
};
