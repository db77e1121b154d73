/** The three engines on the real ResNet50: the same answers from each. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readSample } from '@inferql/converter/files/sample-images';
import type { Result } from '@inferql/queue/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadRepositoryModel } from '../../repository/load-model.ts';
import { readResult } from '../../serving/postprocess.ts';
import type { ServableModel } from '../../serving/servable-model.ts';
import { buildEngines, engineModelOf, startCompiledEngine } from '../process/compiled-engine.fixture.ts';
import type { EngineRun } from '../process/engine-process.ts';
import type { SupervisedEngine } from '../process/supervised-engine.ts';

const ROOT = join(import.meta.dirname, '../../..');
const IMAGES_DIR = join(ROOT, '../shared/images');
const SAMPLES = join(ROOT, 'models/samples');
const hasImages = existsSync(IMAGES_DIR);
const BATCH = 4;

let model: ServableModel;
const engines = new Map<string, SupervisedEngine>();

beforeAll(async () => {
  const dirs = { modelsDir: join(ROOT, 'models'), stateDir: join(ROOT, '.inferql') };
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/build-tfjs-node.mjs')]);
  [model] = await Promise.all([loadRepositoryModel('resnet50', dirs), buildEngines()]);
  for (const { engine } of model.candidates) {
    engines.set(engine, await startCompiledEngine(engineModelOf(model, engine, 2), 120_000));
  }
}, 600_000);

afterAll(async () => {
  await Promise.all([...engines.values()].map((engine) => engine.close()));
});

function rowsOf(run: EngineRun, count: number): Float32Array[] {
  return Array.from({ length: count }, (_, at) => run.probabilities.subarray(at * 1000, (at + 1) * 1000));
}

function bestFive(row: Float32Array): number[] {
  return [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 5);
}

function largestDifference(one: Float32Array, other: Float32Array): number {
  return one.reduce((largest, value, at) => Math.max(largest, Math.abs(value - other[at]!)), 0);
}

async function compareAll(files: string[]): Promise<void> {
  const input = { ...model.input, normalization: 'none' as const };
  for (let at = 0; at < files.length; at += BATCH) {
    const images = await Promise.all(files.slice(at, at + BATCH).map((file) => readSample(file, input)));
    const expected = rowsOf(await engines.get('onnxruntime')!.run(images, false), images.length);
    for (const name of ['tensorflow', 'wasm']) {
      const rows = rowsOf(await engines.get(name)!.run(images, false), images.length);
      for (const [index, row] of rows.entries()) {
        const about = `${name} on ${files[at + index]}`;
        expect(bestFive(row), about).toEqual(bestFive(expected[index]!));
        expect(largestDifference(row, expected[index]!), about).toBeLessThan(1e-5);
      }
    }
  }
}

describe('ResNet50', () => {
  test('all three engines can run it', () => {
    expect([...engines.keys()]).toEqual(['onnxruntime', 'tensorflow', 'wasm']);
  });

  test("the engines agree on the project's samples, top five and within 1e-5", async () => {
    await compareAll(['chelsea.png', 'coffee.png', 'rocket.jpg'].map((file) => join(SAMPLES, file)));
  });

  test.skipIf(!hasImages)(
    'the engines agree on 50 images, top five and within 1e-5 (needs ../shared/images)',
    async () => {
      const files = readdirSync(IMAGES_DIR).filter((name) => /\.(jpe?g|png)$/i.test(name));
      expect(files.length).toBe(50);
      await compareAll(files.map((file) => join(IMAGES_DIR, file)));
    },
    600_000,
  );

  test('the heatmaps of onnxruntime, tensorflow and wasm are the same', async () => {
    const input = { ...model.input, normalization: 'none' as const };
    const images = await Promise.all(
      ['chelsea.png', 'coffee.png'].map((name) => readSample(join(SAMPLES, name), input)),
    );
    const results: Result[][] = [];
    for (const engine of engines.values()) {
      const run = await engine.run(images, true);
      expect(run.maps).toMatchObject({ labels: 20, width: 7, height: 7 });
      results.push(images.map((_, index) => readResult(run, index, { labels: model.labels }, true)));
    }
    const [first, ...others] = results;
    for (const other of others) {
      for (const [index, { heatmaps }] of other.entries()) {
        // The last labels may change places: their scores are as good as equal.
        const expected = new Map(first![index]!.heatmaps!.maps.map((map) => [map.index, map.values]));
        const common = heatmaps!.maps.filter((map) => expected.has(map.index));
        expect(common.length).toBeGreaterThanOrEqual(19);
        for (const map of common) {
          for (const [at, value] of map.values.entries()) expect(value).toBeCloseTo(expected.get(map.index)![at]!, 2);
        }
      }
    }
  });
});
