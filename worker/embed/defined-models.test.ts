import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSpec } from '@inferql/converter/spec/spec-file';
import { expect, onTestFinished, test } from 'vitest';
import { writeDefinitions } from './defined-models.ts';

const SOURCE = {
  type: 'npm' as const,
  package: '@scope/cats',
  version: '1.2.3',
  integrity: `sha512-${'A'.repeat(86)}==`,
  model: 'model.json',
};
const DEFINITION = {
  name: 'cats',
  source: SOURCE,
  format: 'tfjs-graph',
  input: { width: 8, height: 8, normalization: 'unit' },
  output: {},
};

async function makeStateDir(): Promise<string> {
  const stateDir = await mkdtemp(join(tmpdir(), 'inferql-defined-'));
  onTestFinished(() => rm(stateDir, { recursive: true, force: true }));
  return stateDir;
}

test('a definition becomes the folder of a model, next to existing folders', async () => {
  const stateDir = await makeStateDir();
  const labels = ['cat', 'tomcat'];
  const [there, written] = await writeDefinitions(['/models/dogs', { ...DEFINITION, labels }], stateDir);
  expect(there).toBe('/models/dogs');
  expect(await readSpec(written!)).toMatchObject({ name: 'cats', spec: { source: SOURCE, format: 'tfjs-graph' } });
  expect(JSON.parse(await readFile(join(written!, 'labels.json'), 'utf8'))).toEqual(labels);
});

test('labels of a definition override those of the package, and do not outlive the definition', async () => {
  const stateDir = await makeStateDir();
  const source = { ...SOURCE, labels: 'assets/labels.json' };
  const [folder] = await writeDefinitions([{ ...DEFINITION, source, labels: ['cat', 'tomcat'] }], stateDir);
  expect((await readSpec(folder!)).spec.source).not.toHaveProperty('labels');
  expect(await readdir(folder!)).toEqual(['labels.json', 'model.json5']);
  await writeDefinitions([{ ...DEFINITION, source }], stateDir);
  expect((await readSpec(folder!)).spec.source).toHaveProperty('labels', 'assets/labels.json');
  // Without a file in the package, the names of another definition would be served.
  expect(await readdir(folder!)).toEqual(['model.json5']);
});
