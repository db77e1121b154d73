/** Models that come, change and go while a worker process runs. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeDefaultModel } from '@inferql/converter/default-model';
import type { PredictionState, ServedModel } from '@inferql/queue/contract';
import { buildSystem } from '@inferql/testing/build';
import { removeFolder } from '@inferql/testing/folders';
import { createQueueHarness, type QueueHarness } from '@inferql/testing/queue-harness';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis-server';
import { writeTinyModel } from '@inferql/testing/tiny-model';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

let buildDir: string;
let server: TestRedis;
let queue: QueueHarness;
let folder: string;
let workers: ChildProcess[] = [];

beforeAll(async () => {
  buildDir = await buildSystem();
});
beforeEach(async () => {
  [server, folder] = await Promise.all([startTestRedis(), mkdtemp(join(tmpdir(), 'inferql-live-'))]);
  await mkdir(join(folder, 'models'));
  queue = createQueueHarness(server.url);
});
afterEach(async () => {
  const exits = workers.map((worker) => worker.exitCode ?? worker.signalCode ?? once(worker, 'exit'));
  for (const worker of workers) worker.kill('SIGKILL');
  await Promise.all(exits);
  workers = [];
  await queue.close();
  await Promise.all([server.stop(), removeFolder(folder)]);
});

const modelsDir = () => join(folder, 'models');

async function launch(env: NodeJS.ProcessEnv = {}): Promise<{ worker: ChildProcess; log: () => string }> {
  const worker = fork(join(buildDir, 'worker/main.js'), [], {
    execArgv: [],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      REDIS_URL: server.url,
      INFERQL_PREFIX: queue.prefix,
      INFERQL_MODELS_DIR: modelsDir(),
      INFERQL_STATE_DIR: join(folder, 'state'),
      INFERQL_ENGINE_THREADS: '1',
      ...env,
    },
  });
  let log = '';
  worker.stdout!.on('data', (chunk) => {
    log += chunk;
  });
  workers.push(worker);
  await Promise.race([once(worker, 'message'), once(worker, 'close')]);
  if (!worker.connected) throw new Error(log);
  return { worker, log: () => log };
}

const image = () => Uint8Array.from({ length: 6 * 5 * 3 }, () => Math.floor(Math.random() * 256));

/** As a server does: reads the models, admits, and reads them again if the version is outdated. */
async function submitAsServer(name: string): Promise<string | undefined> {
  for (;;) {
    const model = (await queue.registry.models()).find((one) => one.name === name);
    if (!model) return undefined;
    try {
      return await queue.submit(model, image());
    } catch (error) {
      if ((error as Error).message !== 'staleVersion') throw error;
    }
  }
}

/** Reads the models until one fits. */
async function whenModel(fits: (models: ServedModel[]) => boolean): Promise<ServedModel[]> {
  for (;;) {
    const models = await queue.registry.models();
    if (fits(models)) return models;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a model is added, updated and removed under load: no prediction fails, each has its version', async () => {
  await writeTinyModel(modelsDir(), 'first', { favorite: 0 });
  const { log } = await launch();
  const before = await queue.model('first');
  expect(before).toMatchObject({ engine: 'onnxruntime', heatmap: { available: true }, classCount: 3 });

  const ids: string[] = [];
  let announceNext: ((id: string) => void) | undefined;
  const whenNext = () =>
    new Promise<string>((resolve) => {
      announceNext = resolve;
    });
  const load = (async () => {
    for (;;) {
      const id = await submitAsServer('first');
      if (id === undefined) return;
      ids.push(id);
      announceNext?.(id);
      if (ids.length % 20 === 0) await queue.end(id);
    }
  })();
  /** Resolves when this many more are in progress. */
  const submitted = async (more: number) => {
    for (const until = ids.length + more; ids.length < until; ) await queue.end(await whenNext());
  };
  await writeTinyModel(modelsDir(), 'second', { favorite: 1 });
  await whenModel((models) => models.some(({ name }) => name === 'second'));
  await queue.model('second');
  const second = await queue.end((await submitAsServer('second'))!);
  expect(second.result!.labels[0]!.name).toBe('green');

  // A broken model does not affect others.
  await mkdir(join(modelsDir(), 'broken'));
  await writeFile(join(modelsDir(), 'broken', 'model.json5'), '{ format: "stone tablets" }');

  await submitted(50);
  await writeTinyModel(modelsDir(), 'first', { favorite: 2 });
  const isUpdated = ({ name, version }: ServedModel) => name === 'first' && version !== before.version;
  const after = (await whenModel((models) => models.some(isUpdated))).find(isUpdated)!;
  const updated = await queue.end((await submitAsServer('first'))!);
  expect(updated.result!.labels[0]!.name).toBe('blue');

  await submitted(50);
  await rm(join(modelsDir(), 'first'), { recursive: true });
  await whenModel((models) => models.every(({ name }) => name !== 'first'));
  await load;

  const ends: PredictionState[] = [];
  for (const id of ids) ends.push(await queue.end(id));
  expect(ends.length).toBeGreaterThan(100);
  expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['SUCCEEDED']));
  for (const { version, result } of ends) {
    expect(result!.labels[0]!.name).toBe(version === before.version ? 'red' : 'blue');
    expect([before.version, after.version]).toContain(version);
  }
  // The log and the answers come on different ways.
  await expect.poll(log).toContain("broken/model.json5 is not a model's spec");
});

test('SIGHUP rereads the repository at once, and INFERQL_MODELS limits which models are served', async () => {
  await writeTinyModel(modelsDir(), 'wanted');
  await writeTinyModel(modelsDir(), 'unwanted');
  const { worker } = await launch({ INFERQL_MODELS: 'wanted, later' });
  expect((await queue.registry.models()).map(({ name }) => name)).toEqual(['wanted']);
  await writeTinyModel(modelsDir(), 'later');
  worker.kill('SIGHUP');
  await whenModel((models) => models.length === 2);
  expect((await queue.registry.models()).map(({ name }) => name)).toEqual(['later', 'wanted']);
});

test('the repository names the default model, and the worker registers it, also when it changes', async () => {
  await writeTinyModel(modelsDir(), 'ant');
  await writeTinyModel(modelsDir(), 'bee');
  await writeDefaultModel(modelsDir(), 'bee');
  const untilDefault = (name: string) =>
    queue.untilRegistry(
      (registry) => registry.defaultModel(),
      (found) => found === name,
    );
  const { worker } = await launch();
  await untilDefault('bee');
  await writeDefaultModel(modelsDir(), 'ant');
  worker.kill('SIGHUP');
  await untilDefault('ant');
});

test('a layer that the converter does not know falls back to the next engine, and the model says why', async () => {
  const middle = () => [
    tf.layers.reshape({ targetShape: [30, 4] }),
    tf.layers.lstm({ units: 4, returnSequences: true }),
    tf.layers.reshape({ targetShape: [5, 6, 4] }),
  ];
  await writeTinyModel(modelsDir(), 'remembering', { middle });
  await writeTinyModel(modelsDir(), 'insisting', { middle, spec: { engine: 'wasm' } });
  await writeTinyModel(modelsDir(), 'covered', { spec: { engine: 'wasm' } });
  await writeTinyModel(modelsDir(), 'impossible', { middle, spec: { engine: 'onnxruntime' } });
  const { log } = await launch();
  const fallen = await queue.model('remembering');
  expect(['tensorflow', 'wasm']).toContain(fallen.engine);
  expect(fallen.engineReason).toMatch(/onnxruntime: .*LSTM/);
  const insisting = await queue.model('insisting');
  expect(insisting).toMatchObject({ engine: 'wasm', engineReason: 'The spec names it.' });
  for (const model of [fallen, insisting]) {
    const end = await queue.end(await queue.submit(model, image()));
    expect(end.result!.labels[0]!.name).toBe('red');
  }
  expect((await queue.registry.models()).map(({ name }) => name)).toEqual(['covered', 'insisting', 'remembering']);
  const covered = await queue.model('covered');
  expect(covered).toMatchObject({ engine: 'wasm', heatmap: { available: true } });
  const end = await queue.end(await queue.submit(covered, image(), { options: { heatmap: true } }));
  expect(end.result!.heatmaps).toMatchObject({ width: 6, height: 5 });
  expect(end.result!.heatmaps!.maps.map(({ values }) => values.length)).toEqual([30, 30, 30]);
  await expect.poll(log).toMatch(/no engine can run impossible: onnxruntime: .*LSTM/);
});
