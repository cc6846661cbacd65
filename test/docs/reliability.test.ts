// docs/reliability.md against the code: what the judge forgives, and the defects that it has to catch.

import { expect, test } from 'vitest';
import { defects } from '../simulation/defects/list.ts';
import { astrayPulling, astrayPushed, forgiven } from '../simulation/forgiven.ts';
import { readPage } from './page.ts';

const page = readPage('reliability.md');

test('the page shows what the judge forgives, and nothing else', () => {
  expect(page.table('What no rotator can prevent')).toEqual(
    Object.values(forgiven).map(({ fault, invariants, what, longest }) => [
      fault,
      invariants.join(', '),
      what,
      longest,
    ]),
  );
});

test('the bounds in its words are those of the code', () => {
  const { longest } = forgiven.astray;
  expect(longest).toContain(`${astrayPulling / 60_000} minutes where it pulls`);
  expect(longest).toContain(`${astrayPushed / 3_600_000} hours where it is only pushed to`);
});

test('the page names every defect, and those that were real', () => {
  const plain = (text: string): string => text.replaceAll(/[_`]/g, '');
  const rows = page.table('The checks can fail');
  expect(rows.map(([name = '', says = '']) => [plain(name), plain(says), says.startsWith('_')])).toEqual(
    defects.map(({ name, says, wasReal }) => [name, says, wasReal === true]),
  );
  for (const [name, , worlds] of rows) expect(Number.parseInt(worlds ?? '', 10), name).toBeGreaterThan(0);
});
