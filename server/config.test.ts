import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

test('without settings the documented defaults hold', () => {
  expect(readConfig({})).toMatchObject({
    port: 4000,
    host: '127.0.0.1',
    prefix: 'inferql',
    maxUploadBytes: 10 * 1024 * 1024,
    maxPixels: 64_000_000,
    maxWaitMs: 60_000,
    share: true,
    graphiql: true,
    introspection: true,
    cancelAbandoned: true,
    corsOrigins: [],
  });
});

test('an empty variable counts as not set', () => {
  expect(readConfig({ PORT: '', SHARE: '' })).toMatchObject({ port: 4000, share: true });
});

test('lists and switches are read in the ways people write them', () => {
  expect(
    readConfig({ CORS_ORIGINS: 'http://a.test , http://b.test,', SHARE: 'off', GRAPHIQL: '0', INTROSPECTION: 'false' }),
  ).toMatchObject({
    corsOrigins: ['http://a.test', 'http://b.test'],
    share: false,
    graphiql: false,
    introspection: false,
  });
});

test('all wrong settings are named at once', () => {
  expect(() => readConfig({ PORT: '99999', SHARE: 'maybe', MAX_PIXELS: '-1', DEFAULT_MODEL: 'No Name' })).toThrow(
    /PORT: [\s\S]*DEFAULT_MODEL: [\s\S]*MAX_PIXELS: [\s\S]*SHARE: /,
  );
});
