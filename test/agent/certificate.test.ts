import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { selfSigned } from '../../agent/certificate.ts';
import { days, instant } from '../../core/time.ts';
import { noon } from '../tools/sealed.ts';

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const made = (host: string, now = noon) => new X509Certificate(selfSigned(keys, host, now));

describe('the certificate of an endpoint', () => {
  it.each([
    ['mx1.example.com', 'DNS:mx1.example.com'],
    ['192.0.2.7', 'IP Address:192.0.2.7'],
    ['::1', 'IP Address:0:0:0:0:0:0:0:1'],
    ['2001:db8::7', 'IP Address:2001:DB8:0:0:0:0:0:7'],
    ['2001:db8:1:2:3:4:5:6', 'IP Address:2001:DB8:1:2:3:4:5:6'],
    ['::ffff:192.0.2.7', 'IP Address:0:0:0:0:0:FFFF:C000:207'],
  ])('names %s', (host, name) => expect(made(host).subjectAltName).toBe(name));

  it('is signed by its own key, for a server and no authority', () => {
    const certificate = made('mx1.example.com');
    expect(certificate.verify(keys.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(keys.privateKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(certificate.checkHost('mx1.example.com')).toBe('mx1.example.com');
  });

  it('is valid from a day before, for ten years', () => {
    const { validFromDate, validToDate } = made('mx1.example.com');
    expect(validFromDate.getTime()).toBe(noon - days(1));
    expect(validToDate.getTime()).toBe(noon + days(3652));
  });

  it('ends after 2049 where that is so', () => {
    // RFC 5280 §4.1.2.5: GeneralizedTime from 2050.
    const late = instant(Date.UTC(2045, 5, 1));
    expect(made('mx1.example.com', late).validToDate.getTime()).toBe(late + days(3652));
  });

  it('has a serial number of its own, positive: RFC 5280 §4.1.2.2', () => {
    const serials = Array.from({ length: 50 }, () => made('mx1.example.com').serialNumber);
    expect(new Set(serials).size).toBe(50);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  it('of what is no host is refused', () =>
    expect(() => made('no host')).toThrow(/neither a DNS name nor an IP address/));
});
