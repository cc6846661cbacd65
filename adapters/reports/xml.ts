// Reads the XML of a DMARC aggregate report: RFC 9990 Appendix A, RFC 7489 Appendix C, and what reporters make of them. A
// streaming parser that knows no DTD: a document type is refused where it begins, so there are no entities to expand and
// nothing to fetch. Depth, attributes, values and records are bounded. Touches nothing.

import { setImmediate as pause } from 'node:timers/promises';
import { domainToASCII } from 'node:url';
import sax from 'sax';
import { SelkieError } from '../../core/errors.ts';
import { isDnsName, isWithin, lowerName } from '../../core/names.ts';
import {
  type AggregateReport,
  type Disposition,
  type DkimResult,
  dispositions,
  dkimResults,
  longestPeriod,
  type ReportedSignature,
  type ReportRecord,
} from '../../core/reports/report.ts';
import { formatDuration, type Instant, instant } from '../../core/time.ts';
import { reportLimits } from './limits.ts';

const refused = (why: string): SelkieError => new SelkieError('invalid', `the report ${why}`);

const marks: readonly (readonly [bytes: readonly number[], encoding: string])[] = [
  [[0xef, 0xbb, 0xbf], 'utf-8'],
  [[0xff, 0xfe], 'utf-16le'],
  [[0xfe, 0xff], 'utf-16be'],
];

/** XML 1.0 §4.3.3: by its byte order mark, or as it declares itself, or UTF-8. What is not of the encoding becomes U+FFFD. */
export const decodeXml = (bytes: Uint8Array): string => {
  const mark = marks.find(([mark]) => mark.every((byte, index) => bytes[index] === byte));
  const declared = /^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']/.exec(
    Buffer.from(bytes.subarray(0, 256)).toString('latin1'),
  )?.[1];
  try {
    return new TextDecoder(mark?.[1] ?? declared ?? 'utf-8').decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
};

/** How far in a report begins that something else stands before. */
const opening = 64 * 1024;

/** Whether a text looks like a report, as far as can be told from its beginning. */
export const isReportXml = (text: string): boolean =>
  text.trimStart().startsWith('<') && /<(?:[\w.-]+:)?feedback[\s>/]/i.test(text.slice(0, opening));

/** What reporters write ends up on terminals and in logs: no control characters, no long names. */
const shownText = (text: string | undefined, most = 200): string | undefined => {
  const found = text
    ?.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '')
    .trim()
    .slice(0, most);
  return found === '' ? undefined : found;
};

const nameIn = (text: string | undefined): string | undefined => {
  if (text === undefined) return undefined;
  const name = lowerName(/^[\x21-\x7e]+$/.test(text) ? text : domainToASCII(text.normalize('NFC')));
  return isDnsName(name) ? name : undefined;
};

/** Seconds since 1970; some write milliseconds, decimals, or a date. */
const timeIn = (text: string | undefined, what: string): Instant => {
  const number = /^\d{1,15}(\.\d{1,9})?$/.test(text ?? '') ? Number(text) : undefined;
  const at = number === undefined ? Date.parse(text ?? '') : number > 1e11 ? number : number * 1_000;
  if (!Number.isFinite(at) || at < 0) throw refused(`does not say when its period ${what}: date_range`);
  return instant(Math.floor(at));
};

const countIn = (text: string | undefined): number => {
  if (text === undefined) return 1;
  if (!/^\d{1,15}$/.test(text)) throw refused('counts messages with something that is no number: row/count');
  return Number(text);
};

const oneOf = <T extends string>(known: readonly T[], text: string | undefined, other: T): T =>
  known.find((each) => each === text?.toLowerCase()) ?? other;

const resultIn = (text: string | undefined): DkimResult =>
  text?.toLowerCase() === 'hardfail'
    ? 'fail'
    : oneOf(dkimResults, text, text === undefined ? 'none' : 'other');

/** Values by `parent/name`; of one that is there twice, the first. */
type Fields = Map<string, string>;

interface Draft {
  readonly fields: Fields;
  readonly signatures: Fields[];
  readonly spf: Fields[];
}

const isPass = (text: string | undefined): boolean => text?.toLowerCase() === 'pass';

/** Where a reporter leaves out what DMARC made of it: relaxed alignment, as far as names tell (RFC 9989 §5.1). */
const aligned = (domain: string | undefined, from: string | undefined): boolean =>
  domain !== undefined && from !== undefined && (isWithin(domain, from) || isWithin(from, domain));

const recordOf = ({ fields, signatures, spf }: Draft): ReportRecord => {
  const source = fields.get('row/source_ip')?.toLowerCase() ?? '';
  const from = nameIn(fields.get('identifiers/header_from'));
  const found = signatures.flatMap((one): ReportedSignature[] => {
    const domain = nameIn(one.get('domain'));
    const selector = nameIn(one.get('selector'));
    return domain === undefined
      ? []
      : [{ domain, ...(selector === undefined ? {} : { selector }), result: resultIn(one.get('result')) }];
  });
  const [dkim, passed] = [fields.get('policy_evaluated/dkim'), fields.get('policy_evaluated/spf')];
  return {
    source: /^[0-9a-f.:]{2,45}$/.test(source) ? source : 'unknown',
    count: countIn(fields.get('row/count')),
    ...(from === undefined ? {} : { from }),
    // RFC 9990 says `pass` where nothing was to be done.
    disposition: oneOf<Disposition>(dispositions, fields.get('policy_evaluated/disposition'), 'none'),
    dkim:
      dkim === undefined
        ? found.some(({ domain, result }) => result === 'pass' && aligned(domain, from))
        : isPass(dkim),
    spf:
      passed === undefined
        ? spf.some((one) => isPass(one.get('result')) && aligned(nameIn(one.get('domain')), from))
        : isPass(passed),
    signatures: found,
  };
};

const reportOf = (fields: Fields, records: readonly ReportRecord[]): AggregateReport => {
  const email = shownText(fields.get('report_metadata/email'));
  const reporter = shownText(fields.get('report_metadata/org_name')) ?? email?.split('@').at(-1);
  if (reporter === undefined) throw refused('does not say who reports: report_metadata/org_name');
  const domain = nameIn(fields.get('policy_published/domain'));
  if (domain === undefined) throw refused('does not say which domain it is about: policy_published/domain');
  const begin = timeIn(fields.get('date_range/begin'), 'begins');
  const end = timeIn(fields.get('date_range/end'), 'ends');
  if (end < begin || end - begin > longestPeriod)
    throw refused(`is not of a period of at most ${formatDuration(longestPeriod)}: date_range`);
  const policy = shownText(fields.get('policy_published/p'), 20)?.toLowerCase();
  return {
    reporter,
    // Without one, it is known by what it is about.
    id: shownText(fields.get('report_metadata/report_id')) ?? `${begin}-${end}`,
    begin,
    end,
    domain,
    ...(policy === undefined ? {} : { policy }),
    records,
  };
};

/** Characters that the parser is given at once: it bounds its buffers once each. */
const slice = 16 * 1024;

/** The places of values that are read; `identities` is of an early draft. */
const wanted: ReadonlySet<string> = new Set([
  'report_metadata/org_name',
  'report_metadata/email',
  'report_metadata/report_id',
  'date_range/begin',
  'date_range/end',
  'policy_published/domain',
  'policy_published/p',
  'row/source_ip',
  'row/count',
  'policy_evaluated/disposition',
  'policy_evaluated/dkim',
  'policy_evaluated/spf',
  'identifiers/header_from',
  'dkim/domain',
  'dkim/selector',
  'dkim/result',
  'spf/domain',
  'spf/result',
]);

/** Reads elements into a report; names come without their prefix and in small letters. */
const reader = () => {
  const fields: Fields = new Map();
  const records: ReportRecord[] = [];
  const path: string[] = [];
  let [begun, ended] = [false, false];
  let draft: Draft | undefined;
  let text: string | undefined;
  const placeOf = (name: string): string =>
    `${path.at(-1) === 'identities' ? 'identifiers' : (path.at(-1) ?? '')}/${name}`;

  const keep = (place: string, value: string): void => {
    const [parent, name = ''] = place.split('/');
    const nested =
      parent === 'dkim' ? draft?.signatures.at(-1) : parent === 'spf' ? draft?.spf.at(-1) : undefined;
    const into = nested ?? draft?.fields ?? fields;
    const key = nested === undefined ? place : name;
    if (value !== '' && !into.has(key)) into.set(key, value);
  };

  return {
    open: (name: string): void => {
      const place = placeOf(name);
      if (name === 'feedback') begun = true;
      if (begun && !ended) {
        if (name === 'record') draft = { fields: new Map(), signatures: [], spf: [] };
        if (place === 'auth_results/dkim') draft?.signatures.push(new Map());
        if (place === 'auth_results/spf') draft?.spf.push(new Map());
        text = wanted.has(place) ? '' : undefined;
      }
      path.push(name);
      if (path.length > reportLimits.depth)
        throw refused(`nests elements more than ${reportLimits.depth} deep`);
    },
    text: (more: string): void => {
      if (text === undefined) return;
      text += more;
      if (text.length > reportLimits.text)
        throw refused(
          `has a value of more than ${reportLimits.text} characters: ${path.slice(-2).join('/')}`,
        );
    },
    close: (name: string): void => {
      path.pop();
      if (ended) return;
      const place = placeOf(name);
      if (text !== undefined && wanted.has(place)) keep(place, text.trim());
      text = undefined;
      if (name === 'record' && draft !== undefined) {
        records.push(recordOf(draft));
        draft = undefined;
        if (records.length > reportLimits.records)
          throw refused(`has more than ${reportLimits.records} records`);
      }
      if (name === 'feedback') ended = true;
    },
    report: (): AggregateReport => {
      if (!begun)
        throw new SelkieError('invalid', 'this is no DMARC aggregate report: it has no element feedback');
      if (!ended) throw refused('is cut short: its element feedback has no end');
      return reportOf(fields, records);
    },
  };
};

const localName = (name: string): string => name.slice(name.lastIndexOf(':') + 1).toLowerCase();

/** Takes a text bit by bit. */
const createReportParser = () => {
  // It bounds its buffers only where it counts positions.
  const options = { lowercase: true, noscript: true, position: true, strictEntities: true };
  const parser = sax.parser(false, options);
  const reading = reader();
  let attributes = 0;
  // XML 1.0 §2.8: a report has none; entities that grow, and files that are fetched, are declared in one.
  parser.ondoctype = () => {
    throw refused('has a document type (DOCTYPE), which no aggregate report has');
  };
  parser.onsgmldeclaration = parser.ondoctype;
  parser.onopentagstart = ({ name }) => {
    attributes = 0;
    reading.open(localName(name));
  };
  parser.onattribute = () => {
    attributes += 1;
    if (attributes > reportLimits.attributes)
      throw refused(`has an element with more than ${reportLimits.attributes} attributes`);
  };
  parser.ontext = reading.text;
  parser.oncdata = reading.text;
  parser.onclosetag = (name) => reading.close(localName(name));
  parser.onerror = (error) => {
    throw refused(`cannot be read as XML: ${error.message.split('\n')[0]}`);
  };
  return {
    write: (text: string): void => void parser.write(text),
    end: (): AggregateReport => {
      parser.close();
      return reading.report();
    },
  };
};

/**
 * With pauses: the largest take seconds, and whoever waits for the same process should not.
 * @throws invalid: no report, cut short, too much of something, or a document type
 */
export const parseReportXml = async (text: string): Promise<AggregateReport> => {
  const parser = createReportParser();
  for (let from = 0; from < text.length; from += slice) {
    parser.write(text.slice(from, from + slice));
    await pause();
  }
  return parser.end();
};
