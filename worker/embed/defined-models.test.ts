import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSpec } from '@inferql/converter/spec/spec-file';
import { expect, onTestFinished, test } from 'vitest';
import { writeDefinitions } from './defined-models.ts';

test('a definition becomes the folder of a model, next to existing folders', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'inferql-defined-'));
  onTestFinished(() => rm(stateDir, { recursive: true, force: true }));
  const definition = {
    name: 'cats',
    labels: ['cat', 'tomcat'],
    source: {
      type: 'npm' as const,
      package: '@scope/cats',
      version: '1.2.3',
      integrity: `sha512-${'A'.repeat(86)}==`,
      model: 'model.json',
    },
    format: 'tfjs-graph',
    input: { width: 8, height: 8, normalization: 'unit' },
    output: {},
  };
  const [there, written] = await writeDefinitions(['/models/dogs', definition], stateDir);
  expect(there).toBe('/models/dogs');
  expect(await readSpec(written!)).toMatchObject({
    name: 'cats',
    spec: { source: definition.source, format: 'tfjs-graph' },
  });
  expect(JSON.parse(await readFile(join(written!, 'labels.json'), 'utf8'))).toEqual(definition.labels);
});
