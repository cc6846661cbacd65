// The mistakes that panels and people make with long values, each told from the others.
import { expect, test } from 'vitest';
import { pastedWrong } from '../../../core/dkim/pasted.ts';

const wanted = `v=DKIM1; k=rsa; p=${'Ab1+'.repeat(98)}`;

test.each<[string, string, string]>([
  ['the first string alone', wanted.slice(0, 255), `shows only the first 255 of ${wanted.length} characters`],
  ['quotation marks around it', `"${wanted}"`, 'shows the quotation marks as part of the value'],
  [
    'quotation marks around its strings',
    `"${wanted.slice(0, 255)}" "${wanted.slice(255)}"`,
    'shows the value with other spaces',
  ],
  [
    'a space in its middle',
    `${wanted.slice(0, 255)} ${wanted.slice(255)}`,
    'shows the value with other spaces',
  ],
  ['no spaces', wanted.replaceAll(' ', ''), 'shows the value with other spaces'],
  ['a line end behind it', `${wanted}\n`, 'shows the value with other spaces'],
  ['escaped semicolons', wanted.replaceAll(';', '\\;'), 'shows a backslash before each semicolon'],
  ['other letters', wanted.toLowerCase(), 'shows the value in other letters'],
  ['nothing of it', 'v=spf1 -all', 'shows another record'],
  ['an empty value', '', 'shows another record'],
  ['one character more', `${wanted}=`, 'shows another record'],
])('%s', (_, shown, says) => expect(pastedWrong(shown, wanted)).toContain(says));
