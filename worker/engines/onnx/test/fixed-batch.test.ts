/** The engine onnxruntime with models of a fixed batch size. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomPixels } from '@inferql/converter/golden/harness.fixture';
import { encodeClassifier } from '@inferql/converter/golden/onnx-file.fixture';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { loadRepositoryModel } from '../../../repository/load-model.ts';
import { buildEngines, engineModelOf, startCompiledEngine } from '../../process/compiled-engine.fixture.ts';
import type { SupervisedEngine } from '../../process/supervised-engine.ts';

const IMAGE_BYTES = 8 * 8 * 3;
const CLASSES = 4;
const IMAGES = 7;

let folder: string;
let engines: SupervisedEngine[] = [];

beforeAll(buildEngines);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferql-fixed-'));
});
afterEach(async () => {
  await Promise.all(engines.map((engine) => engine.close()));
  engines = [];
  await rm(folder, { recursive: true, force: true });
});

async function startEngine(name: string, batch: number | undefined, threads: number): Promise<SupervisedEngine> {
  const modelDir = join(folder, 'models', name);
  await mkdir(modelDir, { recursive: true });
  await writeFile(join(modelDir, 'model.onnx'), encodeClassifier(batch === undefined ? {} : { batch }));
  await writeFile(join(modelDir, 'labels.json'), JSON.stringify(['a', 'b', 'c', 'd']));
  const spec = {
    source: { type: 'folder', model: 'model.onnx', labels: 'labels.json' },
    format: 'onnx',
    input: { width: 8, height: 8, normalization: 'unit' },
    output: { activation: 'logits' },
  };
  await writeFile(join(modelDir, 'model.json5'), JSON.stringify(spec));
  const dirs = { modelsDir: join(folder, 'models'), stateDir: join(folder, 'state') };
  const model = await loadRepositoryModel(name, dirs);
  const engine = await startCompiledEngine(engineModelOf(model, 'onnxruntime', threads));
  engines.push(engine);
  return engine;
}

test.each([1, 3])('a model of batches of exactly %i answers any number of images', async (batch) => {
  const pixels = randomPixels({ width: 8, height: 8, channels: 3, kernel: 'linear', normalization: 'unit' }, IMAGES);
  const images = Array.from({ length: IMAGES }, (_, at) => pixels.subarray(at * IMAGE_BYTES, (at + 1) * IMAGE_BYTES));
  const free = await startEngine('free', undefined, 1);
  const expected = (await free.run(images, false)).probabilities;
  for (const threads of [1, 2]) {
    const fixed = await startEngine(`fixed${threads}`, batch, threads);
    for (const count of [1, 2, IMAGES]) {
      const { probabilities } = await fixed.run(images.slice(0, count), false);
      expect(probabilities.length).toBe(count * CLASSES);
      for (const [at, value] of probabilities.entries()) expect(value).toBeCloseTo(expected[at]!, 6);
    }
  }
});
