import { describe, expect, test } from 'vitest';
import { origins, trustedProxies } from './origins-and-proxies.ts';

describe('trusted proxies', () => {
  test.each(['off', '0', 'Off'])('%j is nobody', (text) => expect(trustedProxies.parse(text)).toBe(false));
  test.each(['on', '1', 'true'])('%j is everybody', (text) => expect(trustedProxies.parse(text)).toBe(true));
  test.each(['nginx', '10.0.0.0/33', '10.0.0', '1.2.3.4/x', '1.2.3.4/8/8', 'loopback,?'])('%j is refused', (text) => {
    expect(trustedProxies.parse(text)).toBeUndefined();
  });
});

describe('origins', () => {
  test.each([
    ['http://localhost:5173/', ['http://localhost:5173']],
    ['HTTPS://App.Example.com:443', ['https://app.example.com']],
    ['http://a.test, ,https://b.test:8443', ['http://a.test', 'https://b.test:8443']],
    ['*', ['*']],
    ['capacitor://localhost', ['capacitor://localhost']],
  ])('%s is %j', (text, expected) => expect(origins.parse(text)).toEqual(expected));

  test.each(['localhost:5173', 'app.example.com', 'http://a.test/page', 'https://u:p@a.test', 'http://', 'null'])(
    '%s could never match, and is refused',
    (text) => expect(origins.parse(text)).toBeUndefined(),
  );
});
