/** The models of examples/, served from their folder by a server that requires keys, and what uses their outputs. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildSystem, projectDir } from '@inferql/testing/build';
import { makePng } from '@inferql/testing/data/test-images';
import { send } from '@inferql/testing/system/graphql-client';
import { withKeyStore } from '@inferql/testing/system/key-store';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, test } from 'vitest';

const examples = join(projectDir, 'examples');
let system: TestSystem;
let key: string;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-example-models-'));
  system = await startSystem({
    models: [],
    env: { INFERQL_MODELS_DIR: join(examples, 'models'), INFERQL_AUTH: 'keys' },
  });
  key = await withKeyStore(system.redis.url, async (store) => {
    return (await store.create({ tenant: 'examples', scopes: ['infer', 'read'] })).text;
  });
});

afterAll(async () => {
  await system?.end();
  await rm(dir, { recursive: true, force: true });
});

test('brightness: an engine of a few lines classifies', async () => {
  const { data } = await send<{ classifyImage: { result: { labels: { name: string; score: number }[] } } }>(
    system.url,
    {
      query: `mutation ($image: Upload!) {
      classifyImage(image: $image, model: "brightness") { ... on Prediction { result { labels { name score } } } }
    }`,
      variables: { image: null },
      files: { image: makePng(40, 40, [255, 255, 255]) },
    },
    undefined,
    { authorization: `Bearer ${key}` },
  );
  expect(data!.classifyImage.result.labels).toEqual([
    { name: 'bright', score: 1 },
    { name: 'dark', score: 0 },
  ]);
});

test('the engine in the documentation is the engine of the example', async () => {
  const code = await readFile(join(examples, 'models/brightness/engine.js'), 'utf8');
  expect(await readFile(join(projectDir, 'docs/custom-engine.md'), 'utf8')).toContain(code);
});

test('palette: images are compared by their embeddings, and the second head gives their colors', async () => {
  // As in a project that has the client installed.
  await cp(join(examples, 'outputs/similar.mjs'), join(dir, 'similar.mjs'));
  await mkdir(join(dir, 'node_modules/@inferql'), { recursive: true });
  await symlink(join(await buildSystem(), 'client'), join(dir, 'node_modules/@inferql/client'));
  const files = { 'red.png': [250, 10, 10], 'also-red.png': [245, 5, 20], 'cyan.png': [10, 250, 250] } as const;
  for (const [name, color] of Object.entries(files)) await writeFile(join(dir, name), makePng(20, 20, color));
  const { stdout } = await promisify(execFile)(process.execPath, ['similar.mjs', ...Object.keys(files)], {
    cwd: dir,
    env: { PATH: process.env.PATH!, INFERQL_URL: system.url, INFERQL_KEY: key },
  });
  expect(stdout).toBe(
    [
      'red.png: dark, red, 1.00 like the first',
      'also-red.png: dark, red, 1.00 like the first',
      'cyan.png: bright, green and blue, 0.00 like the first',
      '',
    ].join('\n'),
  );
});
