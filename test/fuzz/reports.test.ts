// Aggregate reports: what is written is read back; whatever else comes is read or refused with an error of ours, and in time.
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readReports } from '../../adapters/reports/read.ts';
import { parseReportXml } from '../../adapters/reports/xml.ts';
import { dispositions, type ReportRecord } from '../../core/reports/report.ts';
import { createSummary } from '../../core/reports/summary.ts';
import { tallied } from '../../core/reports/tally.ts';
import { instant } from '../../core/time.ts';
import { begin, report, xmlOf } from '../reports/made.ts';
import { zipOf } from '../reports/zip.ts';
import { ours, patience, runs } from './settings.ts';

patience();

const name = fc.constantFrom('example.com', 'news.example.com', 'other.example', 'example.net');
const records: fc.Arbitrary<readonly ReportRecord[]> = fc.array(
  fc.record({
    source: fc.constantFrom('192.0.2.1', '2001:db8::1', '198.51.100.7'),
    count: fc.integer({ min: 0, max: 1_000_000 }),
    from: name,
    dkim: fc.boolean(),
    spf: fc.boolean(),
    disposition: fc.constantFrom(...dispositions),
    signatures: fc.array(
      fc.record({
        domain: name,
        selector: fc.constantFrom('240128', 's1', 'default'),
        result: fc.constantFrom('pass' as const, 'fail' as const, 'temperror' as const),
      }),
      { maxLength: 5 },
    ),
  }),
  { maxLength: 30 },
);
/** What of a text survives: neither ends nor hides a line. */
const title = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .map((text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '').trim())
  .filter((text) => text !== '' && !/^&|&[#\w]/.test(text));

const fragments = fc.constantFrom(
  ...'<feedback>|</feedback>|<record>|</record>|<row>|</row>|<count>|</count>|<auth_results>|</auth_results>|<dkim>|</dkim>|<![CDATA[|]]>|<!--|-->|<!DOCTYPE a [|<!ENTITY a "b">|]>|<?xml version="1.0"?>|&amp;|&#x0;|&#99999999;|&a;|<a:b c="d">|</|<|>|"|\'|1|pass|\u0000|\ufffd|é|<a b=|/>|<policy_published><domain>example.com</domain></policy_published>'.split(
    '|',
  ),
);

/** Read, or refused with an error of ours. */
const settled = async (reading: Promise<unknown>): Promise<void> => {
  await reading.catch((error: unknown) => void ours(error, 'invalid'));
};

describe('XML', () => {
  it('is read back as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(records, title, title, async (of, reporter, id) => {
        const written = report(of, { reporter, id });
        expect(await parseReportXml(xmlOf(written))).toEqual(written);
      }),
      runs(300),
    );
  });

  it('of any kind is read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fragments, { maxLength: 60 }), (parts) =>
        settled(parseReportXml(parts.join(''))),
      ),
      runs(1_500),
    );
  });

  it('that was damaged anywhere is read or refused', async () => {
    const text = xmlOf(report());
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length), fc.nat(20), fc.oneof(fragments, fc.string()), (at, length, put) =>
        settled(parseReportXml(text.slice(0, at) + put + text.slice(at + length))),
      ),
      runs(1_500),
    );
  });
});

describe('what it comes in', () => {
  const whole = [
    gzipSync(xmlOf(report())),
    zipOf([{ name: 'a.xml', data: Buffer.from(xmlOf(report())) }]),
    Buffer.from(
      `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/xml\r\n\r\n${xmlOf(report())}\r\n--b--\r\n`,
    ),
  ];
  const taken = (bytes: Uint8Array): Promise<void> => settled(readReports(bytes));

  it('any bytes are read or refused', async () => {
    const starts = fc.constantFrom([], [0x1f, 0x8b, 8], [0x50, 0x4b, 3, 4], [...Buffer.from('A: b\r\n\r\n')]);
    await fc.assert(
      fc.asyncProperty(starts, fc.uint8Array({ maxLength: 400 }), (start, rest) =>
        taken(Uint8Array.from([...start, ...rest])),
      ),
      runs(600),
    );
  });

  it('archives and mails that were damaged anywhere are read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...whole),
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        fc.boolean(),
        async (bytes, place, put, cut) => {
          const at = place % bytes.length;
          const changed = Buffer.from(bytes);
          changed.set(put.subarray(0, bytes.length - at), at);
          await taken(cut ? changed.subarray(0, at) : changed);
        },
      ),
      runs(600),
    );
  });
});

it('no message is lost or counted twice on the way to the rates', () => {
  fc.assert(
    fc.property(records, (of) => {
      const found = tallied(report(of), (domain) => domain === 'example.com');
      const sum = createSummary('example.com');
      for (const { domain, tallies } of found)
        sum.add({
          domain,
          day: '2024-01-28',
          reporter: 'r',
          id: 'i',
          begin,
          end: begin,
          at: begin,
          tallies,
          expires: instant(0),
        });
      const { messages, passed, dkim, spf, days } = sum.summary();
      const count = (which: (one: ReportRecord) => boolean): number =>
        of.filter(which).reduce((total, one) => total + one.count, 0);
      expect({ messages, passed, dkim, spf }).toEqual({
        messages: count(() => true),
        passed: count((one) => one.dkim || one.spf),
        dkim: count((one) => one.dkim),
        spf: count((one) => one.spf),
      });
      expect(days.reduce((total, one) => total + one.messages, 0)).toBe(messages);
    }),
    runs(300),
  );
});
