// What the HTTP API takes and answers of aggregate reports, as far as both sides of the wire need it.

/** Bytes of one upload: a function is sent 6 MB at most, and base64 takes a third of them. */
export const reportUpload = 4 * 1024 * 1024;

/** How many days back rates are asked for. */
export const reportDays = { usual: 30, most: 400 };
