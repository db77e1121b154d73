import { resolve } from 'node:path';
import { expect, expectTypeOf, test } from 'vitest';
import { defineSettings, type InvalidConfigurationError, readTable, renameFormerSettings } from './define-settings.ts';
import { choice, flag, integer, list, number, path, pattern, text } from './value-types.ts';

const table = defineSettings({
  port: { name: 'PORT', type: integer({ max: 65_535 }), default: 4000, description: '', readBy: ['server', 'cli'] },
  share: {
    name: 'INFERQL_SHARE',
    formerNames: ['SHARE'],
    type: flag,
    default: true,
    description: '',
    readBy: ['server'],
  },
  origins: { name: 'ORIGINS', type: list(), default: [] as string[], description: '', readBy: ['server'] },
  folder: { name: 'FOLDER', type: path, description: '', readBy: ['server'] },
  level: { name: 'LEVEL', type: choice(['low', 'high']), default: 'low', description: '', readBy: ['server'] },
  url: { name: 'URL', type: pattern('a URL', /^redis:/), description: '', readBy: ['server'], secret: true },
  rate: { name: 'RATE', type: number({ min: 0, max: 1 }), default: () => 0.5, description: '', readBy: ['server'] },
  label: { name: 'LABEL', type: text(), default: 'x', description: '', readBy: ['worker'] },
});

const read = (env: Record<string, string | undefined>) => readTable(table, 'server', env);

test('a part reads its settings, typed, with their defaults', () => {
  const values = read({ LABEL: 'ignored' });
  expect(values).toEqual({
    port: 4000,
    share: true,
    origins: [],
    folder: undefined,
    level: 'low',
    url: undefined,
    rate: 0.5,
  });
  expectTypeOf(values.level).toEqualTypeOf<'low' | 'high'>();
  expectTypeOf(values.folder).toEqualTypeOf<string | undefined>();
  expectTypeOf(values.rate).toEqualTypeOf<number>();
  expect(readTable(table, 'worker', {})).toEqual({ label: 'x' });
});

test('an empty variable counts as not set', () => {
  expect(read({ PORT: '', INFERQL_SHARE: '' })).toMatchObject({ port: 4000, share: true });
});

test('values are read in the ways people write them', () => {
  const env = { ORIGINS: ' http://a.test , http://b.test,', INFERQL_SHARE: 'Off', FOLDER: 'some/where', RATE: '.25' };
  expect(read(env)).toMatchObject({
    origins: ['http://a.test', 'http://b.test'],
    share: false,
    folder: resolve('some/where'),
    rate: 0.25,
  });
  for (const on of ['on', '1', 'true', 'yes']) expect(read({ SHARE: on }).share).toBe(true);
  for (const off of ['off', '0', 'false', 'no']) expect(read({ SHARE: off }).share).toBe(false);
});

test('all wrong values are reported together, with what was expected; a secret is not repeated', () => {
  const env = { PORT: '65536', SHARE: 'maybe', LEVEL: 'fatal', URL: 'http://user:hidden@host', RATE: '1e9' };
  let failure: InvalidConfigurationError | undefined;
  try {
    readTable(table, 'server', env, ['More.']);
  } catch (error) {
    failure = error as InvalidConfigurationError;
  }
  expect(failure?.message).toBe(`Invalid configuration:
  More.
  PORT is '65536': expected a whole number from 0 to 65535.
  SHARE is 'maybe': expected on or off.
  LEVEL is 'fatal': expected one of low, high.
  URL has an invalid value: expected a URL.
  RATE is '1e9': expected a number from 0 to 1.`);
});

test.each(['http', '-1', '1.5', ' 1', '1e3', '0x10', '65536', '9'.repeat(400)])('%s is not a port', (value) => {
  expect(() => read({ PORT: value })).toThrow('PORT is');
});

test('a former name works, and the current one wins', () => {
  expect(read({ SHARE: 'off' }).share).toBe(false);
  expect(read({ SHARE: 'off', INFERQL_SHARE: 'on' }).share).toBe(true);
  expect(renameFormerSettings(table, { SHARE: 'off', OTHER: 'x' })).toEqual({ INFERQL_SHARE: 'off', OTHER: 'x' });
  expect(renameFormerSettings(table, { SHARE: 'off', INFERQL_SHARE: 'on' })).toEqual({ INFERQL_SHARE: 'on' });
});

test('a name is used once', () => {
  const one = { name: 'SAME', type: text(), description: '', readBy: ['server'] } as const;
  const former = { ...one, name: 'OTHER', formerNames: ['SAME'] } as const;
  expect(() => defineSettings({ one, former })).toThrow('two settings are named SAME');
});
