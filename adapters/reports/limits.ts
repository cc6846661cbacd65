// How much a report, or what it comes in, may be. Whoever knows a domain's `rua` address may send it anything.

const mebibyte = 1024 * 1024;

export const reportLimits = {
  /** What SES takes, and more than most other servers do. */
  mail: 40 * mebibyte,
  /** Of one report's XML. The largest that is known of has some ten thousand records, 10 MB. */
  xml: 32 * mebibyte,
  /** Of all that is unpacked from one file or mail. */
  unpacked: 64 * mebibyte,
  /** What is unpacked may be so many times what it was packed in, beyond the first mebibyte. Real reports: 5 to 50. */
  ratio: 200,
  free: mebibyte,
  /** Files in one archive, and attachments of one mail. */
  entries: 64,
  /** Archives within archives: a mail with a zip file that holds a gzip file. */
  nesting: 3,
  /** Elements within each other. A report has 5; one that is wrapped some more. */
  depth: 16,
  /** Attributes of one element. */
  attributes: 32,
  /** Characters of one value. */
  text: 1_024,
  records: 100_000,
} as const;
