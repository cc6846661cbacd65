// IP addresses and networks as text, as SPF records and the fleet file write them. Pure.

const octet = /^(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])$/;

/** Four decimal numbers without leading zeros: qnum of RFC 7208 §12. */
export const isIpv4 = (text: string): boolean => {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => octet.test(part));
};

const group = /^[0-9a-f]{1,4}$/i;

/** How many groups of 16 bits a part around `::` holds; undefined where it is malformed. */
const groupsIn = (text: string, mayEndInIpv4: boolean): number | undefined => {
  if (text === '') return 0;
  const parts = text.split(':');
  const last = parts.at(-1) ?? '';
  const tail = mayEndInIpv4 && last.includes('.');
  if (tail && !isIpv4(last)) return undefined;
  const plain = tail ? parts.slice(0, -1) : parts;
  return plain.every((part) => group.test(part)) ? plain.length + (tail ? 2 : 0) : undefined;
};

/** RFC 4291 §2.2, without a zone. */
export const isIpv6 = (text: string): boolean => {
  const [front = '', back, more] = text.split('::');
  if (more !== undefined) return false;
  if (back === undefined) return groupsIn(front, true) === 8;
  const [before, behind] = [groupsIn(front, false), groupsIn(back, true)];
  return before !== undefined && behind !== undefined && before + behind <= 7;
};

/** A prefix length from 0 to `most`, without leading zeros: RFC 7208 §12. */
export const isPrefixLength = (text: string, most: 32 | 128): boolean =>
  /^(?:0|[1-9]\d{0,2})$/.test(text) && Number(text) <= most;

/** `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`: which family; undefined: neither. */
export const networkFamily = (text: string): 'ip4' | 'ip6' | undefined => {
  const [address = '', length, more] = text.split('/');
  if (more !== undefined) return undefined;
  if (isIpv4(address)) return length === undefined || isPrefixLength(length, 32) ? 'ip4' : undefined;
  if (isIpv6(address)) return length === undefined || isPrefixLength(length, 128) ? 'ip6' : undefined;
  return undefined;
};
