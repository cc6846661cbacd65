// The configuration file that packages install says what holds without it, and names every setting that there is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../agent/config.ts';

const text = readFileSync(join(import.meta.dirname, '../../packaging/files/selkie-agent.yaml'), 'utf8');
const defaults = parseConfig('', 'none');
/** With the settings that have no default, which are examples behind `#`. */
const whole = text.replace(/^( *)#(?=[a-zA-Z]+: )/gm, '$1');

describe('the installed selkie-agent.yaml', () => {
  it('says the defaults', () => expect(parseConfig(text, 'selkie-agent.yaml')).toEqual(defaults));

  it('is sound with all its examples', () => {
    const all = parseConfig(whole, 'selkie-agent.yaml');
    expect(all).toMatchObject(defaults);
    expect(all.metrics).toBe('127.0.0.1:9463');
  });

  it('has every setting of the schema', () => {
    const source = readFileSync(join(import.meta.dirname, '../../agent/config.ts'), 'utf8');
    const settings = [...source.matchAll(/^\s+([a-zA-Z]+): z\./gm)].map(([, name = '']) => name);
    expect(settings.length).toBeGreaterThan(25);
    const missing = settings.filter((name) => !new RegExp(`\\b${name}:\\s`).test(whole));
    expect(missing).toEqual([]);
  });

  it('refuses a setting that there is not', () =>
    expect(() => parseConfig(`${text}\nsign: true\n`, 'selkie-agent.yaml')).toThrow(/sign/));
});
