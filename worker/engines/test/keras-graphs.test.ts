/** Each engine on graph models that Keras 2 wrote, against Keras' answers to the same pixels. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { largestDifference } from '@inferql/converter/golden/harness.fixture';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ServableModel } from '../../serving/servable-model.ts';
import { ENGINES, setUpEngines } from './engines.fixture.ts';

const FILES = join(import.meta.dirname, '../../../converter/golden/keras');
const SIZE = 12;
/** Two images, the same in make.py there. */
const PIXELS = Uint8Array.from({ length: 2 * SIZE * SIZE * 3 }, (_, i) => (i * 37 + Math.floor(i / 7) * 11) % 256);

const engines = setUpEngines();

describe.each(['keras2-transformer'])('%s', (name) => {
  let model: ServableModel;
  let answers: number[][];

  beforeAll(async () => {
    const files = await readdir(join(FILES, name));
    const contents = files.map(async (file) => [file, await readFile(join(FILES, name, file))] as const);
    const spec = {
      source: { type: 'folder', model: 'model.json', labels: 'labels.json' },
      format: 'tfjs-graph',
      input: { width: SIZE, height: SIZE, channels: 3, kernel: 'linear', normalization: 'none' },
      output: { activation: 'softmax' },
    };
    model = await engines.prepare(name, {
      ...Object.fromEntries(await Promise.all(contents)),
      'labels.json': JSON.stringify(['a', 'b', 'c', 'd', 'e']),
      'model.json5': JSON.stringify(spec),
    });
    ({ answers } = JSON.parse(await readFile(join(FILES, 'keras2-transformer.json'), 'utf8')) as {
      answers: number[][];
    });
  });

  test.each(ENGINES)('%s answers as Keras does', async (engine) => {
    const { probabilities } = await engines.runShared(model, engine, PIXELS, 2);
    expect(largestDifference(probabilities, answers.flat())).toBeLessThan(1e-5);
  });
});
