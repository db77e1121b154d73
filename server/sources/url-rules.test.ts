import { hosts } from '@inferql/settings/origins-and-proxies';
import { describe, expect, test } from 'vitest';
import { checkUrl, type UrlRules } from './url-rules.ts';

const https: UrlRules = { imageUrls: 'https', imageUrlHosts: [] };

test('without the setting every URL is refused', () => {
  expect(() => checkUrl('https://example.org/a.jpg', { ...https, imageUrls: 'off' })).toThrow('as a file');
});

describe('https', () => {
  test.each([
    'https://example.org/a.jpg',
    'https://example.org:443/a.jpg?size=1#part',
    'https://1.1.1.1/a.jpg',
    'https://[2606:4700:4700::1111]/a.jpg',
    'HTTPS://EXAMPLE.ORG',
  ])('%s is allowed, but not at a private address', (text) => {
    expect(checkUrl(text, https)).toEqual({ url: new URL(text), mayBePrivate: false });
  });

  test.each([
    '',
    'cat.jpg',
    '//example.org/a.jpg',
    'http://example.org/a.jpg',
    'ftp://example.org/a.jpg',
    'file:///etc/passwd',
    'data:image/png;base64,AAAA',
    'javascript:alert(1)',
    'https://user@example.org/a.jpg',
    'https://user:secret@example.org/a.jpg',
    'https://example.org:8443/a.jpg',
    'https://127.0.0.1/a.jpg',
    'https://2130706433/a.jpg',
    'https://0x7f.1/a.jpg',
    'https://0177.0.0.1/a.jpg',
    'https://127.1/a.jpg',
    'https://10.0.0.1/a.jpg',
    'https://169.254.169.254/latest/meta-data/',
    'https://[::1]/a.jpg',
    'https://[::ffff:127.0.0.1]/a.jpg',
    'https://[fd00::1]/a.jpg',
    'https://127。0。0。1/a.jpg',
    `https://example.org/${'a'.repeat(3_000)}`,
  ])('%s is refused', (text) => {
    expect(() => checkUrl(text, https)).toThrow(expect.objectContaining({ code: 'IMAGE_URL_REFUSED' }));
  });
});

describe('allowlist', () => {
  const rules = (text: string): UrlRules => ({ imageUrls: 'allowlist', imageUrlHosts: hosts.parse(text)! });

  test.each([
    ['images.example.org', 'https://images.example.org/a.jpg', true],
    ['images.example.org', 'http://images.example.org/a.jpg', true],
    ['Images.Example.org', 'https://IMAGES.example.org/a.jpg', true],
    ['10.0.0.5:9000', 'http://10.0.0.5:9000/a.jpg', true],
    ['[::1]:9000', 'http://[::1]:9000/a.jpg', true],
    ['example.org:443', 'https://example.org/a.jpg', true],
    ['*.example.org', 'https://a.b.example.org/a.jpg', false],
    ['*.example.org,images.example.org', 'https://images.example.org/a.jpg', true],
    ['images.example.org,*.example.org', 'https://images.example.org/a.jpg', true],
    ['images.example.org:9000,*.example.org', 'https://images.example.org/a.jpg', false],
  ])('%s allows %s', (list, text, mayBePrivate) => {
    expect(checkUrl(text, rules(list))).toMatchObject({ mayBePrivate });
  });

  test.each([
    ['images.example.org', 'https://example.org/a.jpg'],
    ['images.example.org', 'https://images.example.org:8443/a.jpg'],
    ['images.example.org', 'https://images.example.org.evil.test/a.jpg'],
    ['images.example.org', 'ftp://images.example.org/a.jpg'],
    ['10.0.0.5:9000', 'http://10.0.0.5/a.jpg'],
    ['example.org:443', 'http://example.org/a.jpg'],
    ['*.example.org', 'https://example.org/a.jpg'],
    ['*.example.org', 'https://evilexample.org/a.jpg'],
  ])('%s refuses %s', (list, text) => {
    expect(() => checkUrl(text, rules(list))).toThrow(expect.objectContaining({ code: 'IMAGE_URL_REFUSED' }));
  });
});
