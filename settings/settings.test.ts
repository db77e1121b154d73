import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { printConfiguration } from './configuration-page.ts';
import { defineSettings } from './define-settings.ts';
import { measureDistance } from './find-mistakes.ts';
import { findSettingMistakes, readSettings, sections, settings } from './settings.ts';

/** Names that hosting platforms and other programs share. */
const UNPREFIXED = ['PORT', 'HOST', 'REDIS_URL', 'LOG_LEVEL', 'METRICS_PORT'];

test('docs/configuration.md is what the definitions print', () => {
  const page = readFileSync(join(import.meta.dirname, '../docs/configuration.md'), 'utf8');
  expect(page, 'docs/configuration.md differs: run `npm run schema`').toBe(printConfiguration());
});

test('every setting has our prefix or a common name, and its name is unique', () => {
  for (const { name } of Object.values(settings)) {
    if (!UNPREFIXED.includes(name)) expect(name).toMatch(/^INFERQL_[A-Z0-9_]+$/);
  }
  expect(() => defineSettings(settings)).not.toThrow();
  // A key in two sections would hide one of them.
  expect(Object.keys(settings)).toHaveLength(sections.flatMap((section) => Object.keys(section.settings)).length);
});

test('every variable of ours that the code reads is a setting', () => {
  const root = join(import.meta.dirname, '..');
  const names = new Set<string>(Object.values(settings).map(({ name }) => name));
  const read = ['cli', 'client', 'converter', 'images', 'launcher', 'queue', 'scripts', 'server', 'worker']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(root, folder, path)),
    )
    .filter((path) => /\.(ts|mjs)$/.test(path) && !/\.test\.ts$|\/node_modules\//.test(path))
    .flatMap((path) => [...readFileSync(path, 'utf8').matchAll(/\benv\.(INFERQL_[A-Z_]+)/g)].map(([, name]) => name!));
  expect(read).toContain('INFERQL_URL');
  expect(read.filter((name) => !names.has(name))).toEqual([]);
});

test('every documented setting has a description in whole sentences', () => {
  for (const { name, description } of Object.values(settings)) expect(description, name).toMatch(/^[A-Z].*\.$/);
});

test.each(['fatal', 'silent', 'trace'])('server and worker both accept LOG_LEVEL=%s', (level) => {
  const env = { LOG_LEVEL: level };
  expect([readSettings('server', env).logLevel, readSettings('worker', env).logLevel]).toEqual([level, level]);
});

test('a typing error is reported with the nearest name', () => {
  const env = {
    INFERQL_MAX_UPLOAD_BYTE: '1',
    INFERQL_MODEL_DIR: 'x',
    INFERQL_SAHRE: 'off',
    INFERQL_KYE: 'iql_live_x',
    CORS_ORIGIN: 'http://localhost:5173',
    REDIS_URI: 'redis://host',
    LOGLEVEL: 'debug',
  };
  const warn = (name: string, nearest: string) =>
    `${name} is not a setting and has no effect. Did you mean ${nearest}?`;
  expect(findSettingMistakes(env)).toEqual([
    warn('CORS_ORIGIN', 'INFERQL_CORS_ORIGINS'),
    warn('INFERQL_KYE', 'INFERQL_KEY'),
    warn('INFERQL_MAX_UPLOAD_BYTE', 'INFERQL_MAX_UPLOAD_BYTES'),
    warn('INFERQL_MODEL_DIR', 'INFERQL_MODELS_DIR'),
    warn('INFERQL_SAHRE', 'INFERQL_SHARE'),
    warn('LOGLEVEL', 'LOG_LEVEL'),
    warn('REDIS_URI', 'REDIS_URL'),
  ]);
});

test('a former name is reported once, with the current one', () => {
  expect(findSettingMistakes({ MAX_PIXELS: '1' })).toEqual([
    'MAX_PIXELS is a former name of INFERQL_MAX_PIXELS. It still works; please use INFERQL_MAX_PIXELS.',
  ]);
  expect(findSettingMistakes({ MAX_PIXELS: '1', INFERQL_MAX_PIXELS: '2' })).toEqual([
    'MAX_PIXELS is a former name of INFERQL_MAX_PIXELS and has no effect, because INFERQL_MAX_PIXELS is set, too.',
  ]);
});

test("settings, empty variables and other programs' variables are not reported", () => {
  const env = {
    INFERQL_SHARE: 'on',
    INFERQL_SHAER: '',
    INFERQL_KIT: '1',
    INFERQL_SERVER_PORT: 'tcp://10.0.0.1:4000',
    INFERQL_SERVER_SERVICE_HOST: '10.0.0.1',
    PATH: '/bin',
    POST: '1',
    HOSTS: 'a',
    REDIS_HOST: 'b',
    NODE_ENV: 'production',
  };
  expect(findSettingMistakes(env)).toEqual([]);
});

test.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', 'acb', 1],
  ['abc', 'ab', 1],
  ['abc', 'xabc', 1],
  ['abc', 'axc', 1],
  ['', 'abc', 3],
  ['kitten', 'sitting', 3],
])('the distance from %s to %s is %i', (one, other, distance) => {
  expect(measureDistance(one, other)).toBe(distance);
});

test('a time that no timer takes is refused: Node would end it at once', () => {
  const names = ['INFERQL_ENGINE_LOAD_LIMIT_MS', 'INFERQL_ENGINE_TIME_LIMIT_MS', 'INFERQL_DRAIN_LIMIT_MS'];
  for (const name of names) {
    expect(() => readSettings('worker', { [name]: '2000000000' })).not.toThrow();
    expect(() => readSettings('worker', { [name]: '2147483648' })).toThrow(`${name} is '2147483648': expected`);
  }
});
