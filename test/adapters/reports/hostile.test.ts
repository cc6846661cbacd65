// What somebody may send to the address for reports instead of one: each is refused with a sentence, quickly, and little memory.
import { randomBytes } from 'node:crypto';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { reportLimits } from '../../../adapters/reports/limits.ts';
import { readReports } from '../../../adapters/reports/read.ts';
import { record, report, xmlOf } from '../../reports/made.ts';
import { zipOf } from '../../reports/zip.ts';

const valid = xmlOf(report());
const refusal = async (given: string | Uint8Array): Promise<string> => {
  const before = process.cpuUsage();
  const says = await readReports(typeof given === 'string' ? Buffer.from(given) : given).then(
    (found) => `taken: ${JSON.stringify(found).slice(0, 100)}`,
    (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
  );
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000_000, 'seconds of the processor').toBeLessThan(4);
  return says;
};
const xml = (text: string): string => valid.replace('<feedback>', `${text}<feedback>`);
const megabyte = 1024 * 1024;

describe('hostile XML', () => {
  it.each<[string, string, RegExp]>([
    [
      'a billion laughs',
      xml(
        `<!DOCTYPE lolz [<!ENTITY lol "lol">${Array.from({ length: 9 }, (_, n) => `<!ENTITY lol${n + 1} "${`&lol${n || ''};`.repeat(10)}">`).join('')}]>`,
      ).replace('receiver.example', '&lol9;'),
      /has a document type \(DOCTYPE\)/,
    ],
    [
      'a file of this machine',
      xml('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>').replace('receiver.example', '&x;'),
      /has a document type/,
    ],
    [
      'a DTD from elsewhere',
      xml('<!DOCTYPE feedback SYSTEM "http://127.0.0.1/evil.dtd">'),
      /has a document type/,
    ],
    [
      'a parameter entity',
      xml('<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1/p"> %p;]>'),
      /has a document type/,
    ],
    ['a DTD in small letters', xml('<!doctype r [<!ENTITY a "a">]>'), /has a document type/],
    ['a declaration within', valid.replace('<record>', '<!ELEMENT a ANY><record>'), /has a document type/],
    ['a document type without an end', `<!DOCTYPE ${'x'.repeat(megabyte)}`, /no DMARC aggregate report|XML/],
    [
      'elements within each other',
      valid.replace('<record>', `<record>${'<a>'.repeat(100_000)}`),
      /nests elements more than 16 deep/,
    ],
    [
      'an endless value',
      valid.replace('receiver.example', 'x'.repeat(megabyte)),
      /has a value of more than 1024 characters: report_metadata\/org_name/,
    ],
    [
      'an endless value in CDATA',
      valid.replace('receiver.example', `<![CDATA[${'x'.repeat(megabyte)}]]>`),
      /has a value of more than 1024 characters/,
    ],
    ['an endless name', valid.replace('<record>', `<${'a'.repeat(megabyte)}>`), /Max buffer length/],
    [
      'an endless attribute',
      valid.replace('<record>', `<record a="${'a'.repeat(megabyte)}">`),
      /Max buffer length/,
    ],
    [
      'many attributes',
      valid.replace('<record>', `<record ${Array.from({ length: 100 }, (_, n) => `a${n}="1"`).join(' ')}>`),
      /more than 32 attributes/,
    ],
    ['an endless comment', valid.replace('<record>', `<!--${'a'.repeat(megabyte)}-->`), /Max buffer length/],
    [
      'more records than there are',
      valid.replace('</feedback>', `${'<record/>'.repeat(100_001)}</feedback>`),
      /has more than 100000 records/,
    ],
  ])('%s', async (_, given, says) => {
    expect(await refusal(given)).toMatch(new RegExp(`^invalid: .*(?:${says.source})`));
  });

  it('an entity that nobody declared stays the text that it is', async () => {
    const [found] = await readReports(Buffer.from(valid.replace('receiver.example', 'a&nbsp;&lol;b')));
    expect(found?.reporter).toBe('a&nbsp;&lol;b');
  });

  it('names of the language’s own objects are values like others', async () => {
    const found = await readReports(
      Buffer.from(
        valid
          .replace('<record>', '<record __proto__="x" constructor="y"><__proto__><x/></__proto__>')
          .replace('receiver.example', '__proto__'),
      ),
    );
    expect(found).toEqual([report([record()], { reporter: '__proto__' })]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('what ends up on terminals has no control characters', async () => {
    const [found] = await readReports(
      Buffer.from(
        valid.replace('receiver.example', 'a\u001b[2J\u202eb&#27;c').replace('report-1', 'i\u0007d'),
      ),
    );
    expect([found?.reporter, found?.id]).toEqual(['a[2Jb&#27;c', 'id']);
  });
});

describe('what is no report', () => {
  it.each<[string, string, RegExp]>([
    ['nothing', '', /there is no DMARC aggregate report in it/],
    ['text', 'Hello, here is nothing', /there is no DMARC aggregate report in it/],
    ['another XML', '<html><body/></html>', /this is no DMARC aggregate report/],
    ['one that is cut short', valid.slice(0, -12), /is cut short/],
    [
      'one that is cut short in an element',
      valid.slice(0, valid.indexOf('<record') + 3),
      /cannot be read as XML|cut short/,
    ],
    ['no reporter', valid.replace(/<org_name>.*<\/org_name>/, ''), /does not say who reports/],
    ['no domain', valid.replace('<domain>example.com</domain><p>', '<p>'), /which domain it is about/],
    [
      'a domain that is none',
      valid.replace('<domain>example.com</domain><p>', '<domain>a b</domain><p>'),
      /which domain/,
    ],
    ['no beginning', valid.replace(/<begin>.*<\/begin>/, ''), /does not say when its period begins/],
    [
      'an end in words',
      valid.replace(/<end>.*<\/end>/, '<end>soon</end>'),
      /does not say when its period ends/,
    ],
    [
      'an end before its beginning',
      valid.replace(/<end>.*<\/end>/, '<end>1</end>'),
      /not of a period of at most P32D/,
    ],
    ['a period of a year', valid.replace(/<end>.*<\/end>/, '<end>1738022399</end>'), /not of a period/],
    [
      'a count in words',
      valid.replace('<count>10', '<count>ten'),
      /counts messages with something that is no number/,
    ],
    ['a negative count', valid.replace('<count>10', '<count>-10'), /counts messages/],
  ])('%s', async (_, given, says) => {
    expect(await refusal(given)).toMatch(says);
  });

  it('times in milliseconds, with decimals and as dates are understood', async () => {
    for (const at of ['1706400000000', '1706400000.5', '2024-01-28T00:00:00Z']) {
      const [found] = await readReports(
        Buffer.from(valid.replace(/<begin>.*<\/begin>/, `<begin>${at}</begin>`)),
      );
      expect(new Date(found?.begin ?? 0).toISOString().slice(0, 19)).toBe('2024-01-28T00:00:00');
    }
  });
});

describe('archives', () => {
  const zeros = (length: number): Buffer => Buffer.alloc(length, 0x20);

  it('a gzip bomb is refused where it grows too large', async () => {
    expect(await refusal(gzipSync(zeros(200 * megabyte), { level: 9 }))).toMatch(
      /^invalid: refused: \d+ bytes unpack to more than 32 MiB/,
    );
    expect(await refusal(gzipSync(zeros(4 * megabyte), { level: 9 }))).toMatch(/unpack to more than 1 MiB/);
  });

  it('a gzip file in a gzip file in a gzip file …', async () => {
    let nested = gzipSync(valid);
    expect(await readReports(nested)).toHaveLength(1);
    for (let n = 0; n < 2; n += 1) nested = gzipSync(nested);
    expect(await readReports(nested)).toHaveLength(1);
    expect(await refusal(gzipSync(nested))).toMatch(/archives within archives, more than 3 deep/);
  });

  it('a zip bomb is refused by what it says of itself, and by what it is', async () => {
    const bomb = { name: 'a.xml', data: zeros(100 * megabyte) };
    expect(await refusal(zipOf([bomb]))).toMatch(/refused: \d+ bytes unpack to more than/);
    const liar = zipOf([{ ...bomb, claims: 1_000 }]);
    expect(await refusal(liar)).toMatch(/^invalid: (the zip file is damaged: too many bytes|refused: )/);
  });

  it('files that overlap count each time', async () => {
    const data = deflateRawSync(zeros(reportLimits.free - 1));
    const many = zipOf(
      Array.from({ length: reportLimits.entries }, (_, n) => ({
        name: `${n}.xml`,
        raw: data,
        claims: reportLimits.free - 1,
      })),
    );
    expect(await readReports(many).catch((error: Error) => error.message)).toMatch(
      /no DMARC aggregate report/,
    );
    const large = { name: 'x.xml', data: Buffer.concat([Buffer.from('<x>'), randomBytes(14 * megabyte)]) };
    expect(await refusal(zipOf(Array.from({ length: 6 }, () => large)))).toMatch(/unpack to more than/);
  });

  it('more files than an archive of reports has', async () => {
    const files = Array.from({ length: 65 }, (_, n) => ({ name: `${n}.xml`, data: Buffer.from(valid) }));
    expect(await refusal(zipOf(files))).toMatch(/a zip file of 65 files, where 64 are many/);
    const half = zipOf(files.slice(0, 40));
    expect(
      await refusal(
        zipOf([
          { name: 'a.zip', data: half },
          { name: 'b.zip', data: half },
        ]),
      ),
    ).toMatch(/more than 64 files in archives/);
  });

  it('one that is damaged, or encrypted, says so', async () => {
    const zip = zipOf([{ name: 'a.xml', data: Buffer.from(valid) }]);
    expect(await refusal(zip.subarray(0, -5))).toMatch(/the zip file is damaged/);
    expect(await refusal(zipOf([{ name: 'a.xml', data: Buffer.from(valid), encrypted: true }]))).toMatch(
      /the zip file is encrypted/,
    );
    expect(await refusal(gzipSync(valid).subarray(0, -10))).toMatch(
      /the gzip file is damaged, or was cut short/,
    );
  });

  it('names that lead elsewhere lead nowhere: nothing is written', async () => {
    const zip = zipOf([{ name: '../../etc/passwd', data: Buffer.from(valid) }]);
    expect(await readReports(zip)).toHaveLength(1);
  });

  it('a line’s end behind a gzip file does no harm', async () => {
    expect(await readReports(Buffer.concat([gzipSync(valid), Buffer.from('\r\n')]))).toHaveLength(1);
  });
});

describe('mails', () => {
  const boundary = 'b1';
  const part = (type: string, data: Uint8Array): string =>
    `--${boundary}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(data)
      .toString('base64')
      .replace(/(.{76})/g, '$1\r\n')}\r\n`;
  const mail = (...parts: readonly string[]): Buffer =>
    Buffer.from(
      `From: noreply@receiver.example\r\nSubject: Report Domain: example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=${boundary}\r\n\r\n${parts.join('')}--${boundary}--\r\n`,
    );

  it('a report is found by what it is, whatever its part calls itself', async () => {
    const zip = zipOf([{ name: 'a.xml', data: Buffer.from(valid) }]);
    for (const [type, data] of [
      ['application/gzip', gzipSync(valid)],
      ['application/zip', zip],
      ['application/octet-stream', zip],
      ['text/xml', Buffer.from(valid)],
      ['image/png', Buffer.from(valid)],
    ] as const)
      expect(
        await readReports(mail(part('text/plain', Buffer.from('This is a report.')), part(type, data))),
        type,
      ).toEqual([report()]);
  });

  it('in a mail that somebody forwarded, and in a body of its own', async () => {
    const inner = mail(part('application/gzip', gzipSync(valid)));
    const outer = Buffer.from(
      `Subject: Fwd\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n${inner}\r\n--outer--\r\n`,
    );
    expect(await readReports(outer)).toEqual([report()]);
    for (const type of ['text/xml', 'text/plain', 'application/xml'])
      expect(
        await readReports(Buffer.from(`Subject: x\r\nContent-Type: ${type}\r\n\r\n${valid}`)),
        type,
      ).toEqual([report()]);
  });

  it('none is found in what has none', async () => {
    const page = Buffer.from('<html><body>hello</body></html>');
    const tls = gzipSync('{"organization-name":"x"}');
    expect(await refusal(mail(part('text/html', page), part('application/tlsrpt+gzip', tls)))).toMatch(
      /there is no DMARC aggregate report in it/,
    );
  });

  it('a bomb in a mail is one too, as are too many parts, or headers', async () => {
    expect(await refusal(mail(part('application/gzip', gzipSync(zeros(64 * megabyte)))))).toMatch(
      /unpack to more/,
    );
    expect(
      await refusal(mail(...Array.from({ length: 65 }, () => part('application/gzip', Buffer.from('x'))))),
    ).toMatch(/a mail with 65 attachments/);
    expect(await refusal(`Subject: x\r\n${'X-A: b\r\n'.repeat(100_000)}\r\n`)).toMatch(
      /too many parts or headers/,
    );
    const deep = Array.from(
      { length: 40 },
      (_, n) => `Content-Type: multipart/mixed; boundary=d${n}\r\n\r\n--d${n}\r\n`,
    );
    expect(await refusal(`Subject: x\r\n${deep.join('')}`)).toMatch(/too many parts or headers/);
  });

  const zeros = (length: number): Buffer => Buffer.alloc(length, 0x20);
});

it('is read in a time that grows with its length, and others get their turn meanwhile', async () => {
  const of = (n: number) => Array.from({ length: n }, (_, i) => record({ source: `192.0.2.${i % 256}` }));
  const seconds = async (text: string): Promise<number> => {
    const started = process.cpuUsage();
    await readReports(Buffer.from(text));
    const { user, system } = process.cpuUsage(started);
    return (user + system) / 1_000_000;
  };
  await seconds(xmlOf(report(of(2_000))));
  const [small, large] = [await seconds(xmlOf(report(of(2_000)))), await seconds(xmlOf(report(of(20_000))))];
  expect(large).toBeLessThan(Math.max(small, 0.05) * 40);
  let turns = 0;
  const others = setInterval(() => {
    turns += 1;
  }, 1);
  await readReports(Buffer.from(xmlOf(report(of(20_000)))));
  clearInterval(others);
  expect(turns).toBeGreaterThan(10);
});
