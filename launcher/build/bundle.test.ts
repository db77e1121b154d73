import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { beforeAll, expect, test } from 'vitest';

const PLACE = /new URL\("(\.\.\/[^"]+)", import\.meta\.url\)|import\.meta\.dirname \+ "(\/[^"]+)"/g;

interface Bundle {
  path: string;
  code: string;
}

let dir: string;
let bundles: Bundle[];

beforeAll(async () => {
  dir = join(await buildSystem(), 'bundles');
  bundles = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => ({ path: join(dir, name), code: readFileSync(join(dir, name), 'utf8') }));
});

test('a bundle finds its files and the programs that it starts', () => {
  const places = bundles.flatMap(({ path, code }) =>
    [...code.matchAll(PLACE)].map(([, url, folder]) => join(dirname(path), url ?? folder!)),
  );
  expect(places.filter((place) => !existsSync(place))).toEqual([]);
  for (const file of [
    'queue/lua/lua-steps.js',
    'bundles/worker/engine-process-main.js',
    'bundles/images/decoder-process-main.js',
    '/cli',
  ])
    expect(places).toContainEqual(expect.stringMatching(new RegExp(`${file}$`)));
});

test.each([
  ['server/main', ['graphql', 'ioredis'], ['jose', 'prom-client']],
  ['worker/main', ['ioredis', 'pino'], ['graphql', 'undici', 'h5wasm']],
  ['worker/engine-process-main', [], ['zod', 'ioredis', 'pino']],
  ['cli/main', ['commander'], ['graphql', 'ioredis', 'undici']],
])('%s loads %j when it starts, and %j only if it is needed', (program, needed, unneeded) => {
  const code = readAtStart(`${program}.js`);
  const hasPackage = (name: string) => code.includes(`node_modules/${name}/`);
  expect([...needed, ...unneeded].filter(hasPackage)).toEqual(needed);
});

test.each(['server/main', 'worker/main', 'cli/main'])("%s loads only zod's English messages", (program) => {
  const languages = readAtStart(`${program}.js`).matchAll(/zod\/v4\/locales\/([\w-]+)\.js$/gm);
  expect([...languages].map(([, language]) => language)).toEqual(['en']);
});

test('graphql is bundled once, whoever imports it, and as ES modules', () => {
  const files = bundles.flatMap(({ code }) => code.match(/node_modules\/graphql\/\S+?\.\w+$/gm) ?? []);
  expect(files).toContain('node_modules/graphql/index.mjs');
  expect(files.filter((file) => !file.endsWith('.mjs'))).toEqual([]);
  expect(bundles.filter(({ code }) => code.includes('node_modules/graphql/index.mjs'))).toHaveLength(1);
});

test('bundles contain no checks for development', () => {
  expect(bundles.filter(({ code }) => code.includes('process.env.NODE_ENV')).map(({ path }) => path)).toEqual([]);
});

/** The code of a bundle and of all that it imports, without what it imports later. */
function readAtStart(name: string, seen = new Set<string>()): string {
  if (seen.has(name)) return '';
  seen.add(name);
  const { path, code } = bundles.find(({ path }) => path.endsWith(`/bundles/${name}`))!;
  const imports = [...code.matchAll(/^(?:import|\} from) "(\.[^"]+)";$/gm)].map(([, file]) =>
    join(dirname(path), file!),
  );
  return [code, ...imports.map((file) => readAtStart(relative(dir, file), seen))].join('\n');
}
