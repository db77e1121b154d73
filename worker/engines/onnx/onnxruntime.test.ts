/** The engine onnxruntime with several threads: how a batch is divided among them changes no answer. */
import { cp, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isIntact } from '@inferql/converter/files/folder-digests';
import { randomPixels } from '@inferql/converter/golden/harness.fixture';
import { writeTinyModel } from '@inferql/testing/data/tiny-model';
import * as tf from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadRepositoryModel } from '../../repository/load-model.ts';
import type { ServableModel } from '../../serving/servable-model.ts';
import { buildEngines, engineModelOf, startCompiledEngine } from '../process/compiled-engine.fixture.ts';
import type { EngineRun } from '../process/engine-process.ts';
import type { SupervisedEngine } from '../process/supervised-engine.ts';

const IMAGE_BYTES = 6 * 5 * 3;
const IMAGES = 9;

let folder: string;
let model: ServableModel;
let engines: SupervisedEngine[] = [];

/** A repository with the prepared model. Each test gets a copy. */
let prepared: string;

beforeAll(async () => {
  await buildEngines();
  prepared = await mkdtemp(join(tmpdir(), 'inferql-onnx-'));
  // Wide enough for a weight that the sessions share.
  const widen = (filters: number) => tf.layers.conv2d({ filters, kernelSize: 3, padding: 'same', activation: 'relu' });
  await writeTinyModel(join(prepared, 'models'), 'tiny', { middle: () => [widen(64), widen(64)] });
  await loadModel(prepared);
});
afterAll(() => rm(prepared, { recursive: true, force: true }));
beforeEach(() => openCopy(prepared));
afterEach(closeAll);

const loadModel = (root: string) =>
  loadRepositoryModel('tiny', { modelsDir: join(root, 'models'), stateDir: join(root, 'state') });

async function openCopy(repository: string): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'inferql-onnx-'));
  await cp(repository, folder, { recursive: true });
  model = await loadModel(folder);
}

async function closeAll(): Promise<void> {
  await Promise.all(engines.map((engine) => engine.close()));
  engines = [];
  await rm(folder, { recursive: true, force: true });
}

async function startEngine(threads: number): Promise<SupervisedEngine> {
  const engine = await startCompiledEngine(engineModelOf(model, 'onnxruntime', threads));
  engines.push(engine);
  return engine;
}

const versionDir = () => join(folder, 'state/models/tiny', model.version);
const optimizedFolders = async () => (await readdir(versionDir())).filter((name) => name.startsWith('model.onnx.'));

const pixels = randomPixels({ width: 6, height: 5, channels: 3, kernel: 'linear', normalization: 'unit' }, IMAGES);
const images = Array.from({ length: IMAGES }, (_, at) => pixels.subarray(at * IMAGE_BYTES, (at + 1) * IMAGE_BYTES));

async function runOneByOne(engine: SupervisedEngine): Promise<EngineRun[]> {
  const runs: EngineRun[] = [];
  for (const image of images) runs.push(await engine.run([image], true));
  return runs;
}

function expectSame(run: EngineRun, isolated: EngineRun[]): void {
  const concat = (rows: Float32Array[]) => rows.flatMap((row) => [...row]);
  const near = (actual: Float32Array, expected: number[]) => {
    expect(actual.length).toBe(expected.length);
    for (const [at, value] of actual.entries()) expect(value).toBeCloseTo(expected[at]!, 6);
  };
  near(run.probabilities, concat(isolated.map(({ probabilities }) => probabilities)));
  if (run.maps) near(run.maps.values, concat(isolated.map(({ maps }) => maps!.values)));
}

test.each([1, 2, 3])(
  'on %i threads each image of a batch of any size has the answer that it has alone',
  async (threads) => {
    const engine = await startEngine(threads);
    const isolated = await runOneByOne(engine);
    for (let count = 1; count <= IMAGES; count++) {
      expectSame(await engine.run(images.slice(0, count), false), isolated.slice(0, count));
      expectSame(await engine.run(images.slice(0, count), true), isolated.slice(0, count));
    }
  },
);

test('the file for this machine is made once, and used by every later start', async () => {
  await startEngine(2);
  const made = await optimizedFolders();
  expect(made).toHaveLength(1);
  await startEngine(2);
  expect(await optimizedFolders()).toEqual(made);
});

test('several engines that start at once leave one complete file', async () => {
  const started = await Promise.all([startEngine(2), startEngine(2), startEngine(2)]);
  expect(await optimizedFolders()).toHaveLength(1);
  const isolated = await runOneByOne(started[0]!);
  for (const engine of started) expectSame(await engine.run(images, true), isolated);
});

const DAMAGES: Record<string, (path: string) => Promise<unknown>> = {
  'without its contents': (path) => truncate(path, 0),
  'cut short': async (path) => truncate(path, (await stat(path)).size - 1),
  'with noise in it': async (path) => {
    const bytes = await readFile(path);
    bytes[bytes.length >> 1]! ^= 0x55;
    await writeFile(path, bytes);
  },
  'that is gone': (path) => rm(path),
};

describe('in a repository that was served before', () => {
  let served: string;
  let before: EngineRun[];

  beforeAll(async () => {
    await openCopy(prepared);
    before = await runOneByOne(await startEngine(2));
    served = await mkdtemp(join(tmpdir(), 'inferql-onnx-'));
    await cp(folder, served, { recursive: true });
    await closeAll();
  });
  afterAll(() => rm(served, { recursive: true, force: true }));

  test.each(
    ['model.onnx', 'weights.bin', '.digests.json'].flatMap((name) =>
      Object.keys(DAMAGES).map((how) => [name, how] as const),
    ),
  )('%s %s is noticed and written again', async (name, how) => {
    await cp(served, folder, { recursive: true });
    const optimized = await optimizedFolders();
    expect(optimized).toHaveLength(1);
    const dir = join(versionDir(), optimized[0]!);
    expect(await isIntact(dir)).toBe(true);
    await DAMAGES[how]!(join(dir, name));
    expect(await isIntact(dir)).toBe(false);
    expectSame(await (await startEngine(2)).run(images, true), before);
    expect(await optimizedFolders()).toEqual(optimized);
    expect(await isIntact(dir)).toBe(true);
  });
});

test('if a folder cannot be written to, the ONNX file itself is served', async () => {
  // So small that the ONNX file holds its weights: onnxruntime does not follow links to other files.
  await writeTinyModel(join(folder, 'models'), 'tiny');
  model = await loadModel(folder);
  const before = await runOneByOne(await startEngine(2));
  const candidate = model.candidates.find(({ engine }) => engine === 'onnxruntime')!;
  // Nobody can create a file in the folder of a process' open files, not even root.
  const file = await open(candidate.model.onnx!.path);
  candidate.model.onnx!.path = `/proc/${process.pid}/fd/${file.fd}`;
  expectSame(await (await startEngine(2)).run(images, true), before);
  await file.close();
});
