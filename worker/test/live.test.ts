/** Models that come, change and go while a worker process runs. */
import { once } from 'node:events';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { writeDefaultModel } from '@inferql/converter/repository/default-model';
import type { PredictionState, ServedModel } from '@inferql/queue/contract';
import { writeTinyModel } from '@inferql/testing/data/tiny-model';
import { until } from '@inferql/testing/until';
import * as tf from '@tensorflow/tfjs';
import { expect, onTestFinished, test } from 'vitest';
import { setUpRepository } from './repository.fixture.ts';

const repository = setUpRepository();

const image = () => Uint8Array.from({ length: 6 * 5 * 3 }, () => Math.floor(Math.random() * 256));

/** As a server does: reads the models, admits, and reads them again if the version is outdated. */
async function submitAsServer(name: string): Promise<string | undefined> {
  for (;;) {
    const model = (await repository.queue.registry.models()).find((one) => one.name === name);
    if (!model) return undefined;
    try {
      return await repository.queue.submit(model, image());
    } catch (error) {
      if ((error as Error).message !== 'staleVersion') throw error;
    }
  }
}

/** Resolves with the models once they fit. */
const whenModels = (fits: (models: ServedModel[]) => boolean) => until(() => repository.queue.registry.models(), fits);

test('a model is added, updated and removed under load: no prediction fails, each has its version', async () => {
  await writeTinyModel(repository.modelsDir, 'first', { favorite: 0 });
  const { log } = await repository.launch();
  const before = await repository.queue.model('first');
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
      if (ids.length % 20 === 0) await repository.queue.end(id);
    }
  })();
  /** Resolves when this many more are in progress. */
  const submitted = async (more: number) => {
    for (const until = ids.length + more; ids.length < until; ) await repository.queue.end(await whenNext());
  };
  await writeTinyModel(repository.modelsDir, 'second', { favorite: 1 });
  await whenModels((models) => models.some(({ name }) => name === 'second'));
  await repository.queue.model('second');
  const second = await repository.queue.end((await submitAsServer('second'))!);
  expect(second.result!.labels[0]!.name).toBe('green');

  // A broken model does not affect others.
  await mkdir(join(repository.modelsDir, 'broken'));
  await writeFile(join(repository.modelsDir, 'broken', 'model.json5'), '{ format: "stone tablets" }');

  await submitted(50);
  await writeTinyModel(repository.modelsDir, 'first', { favorite: 2 });
  const isUpdated = ({ name, version }: ServedModel) => name === 'first' && version !== before.version;
  const after = (await whenModels((models) => models.some(isUpdated))).find(isUpdated)!;
  const updated = await repository.queue.end((await submitAsServer('first'))!);
  expect(updated.result!.labels[0]!.name).toBe('blue');

  await submitted(50);
  await rm(join(repository.modelsDir, 'first'), { recursive: true });
  await whenModels((models) => models.every(({ name }) => name !== 'first'));
  await load;

  const ends: PredictionState[] = [];
  for (const id of ids) ends.push(await repository.queue.end(id));
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
  await writeTinyModel(repository.modelsDir, 'wanted');
  await writeTinyModel(repository.modelsDir, 'unwanted');
  const { worker } = await repository.launch({ INFERQL_MODELS: 'wanted, later' });
  expect((await repository.queue.registry.models()).map(({ name }) => name)).toEqual(['wanted']);
  await writeTinyModel(repository.modelsDir, 'later');
  worker.kill('SIGHUP');
  await whenModels((models) => models.length === 2);
  expect((await repository.queue.registry.models()).map(({ name }) => name)).toEqual(['later', 'wanted']);
});

test('models are not withdrawn while their folder cannot be read', async () => {
  await writeTinyModel(repository.modelsDir, 'first');
  const { worker, log } = await repository.launch();
  const model = await repository.queue.model('first');
  await rename(repository.modelsDir, `${repository.modelsDir}.aside`);
  // What is not a folder cannot be listed, as one on a disk that fails.
  await writeFile(repository.modelsDir, '');
  worker.kill('SIGHUP');
  await expect.poll(log).toContain('could not read the model repository');
  const end = await repository.queue.end(await repository.queue.submit(model, image()));
  expect(end.status).toBe('SUCCEEDED');
  expect(log()).not.toContain('withdraw');
});

test('SIGTERM while a package is pulled ends the worker at once', async () => {
  await writeTinyModel(repository.modelsDir, 'first');
  let asked = () => {};
  const request = new Promise<void>((resolve) => {
    asked = resolve;
  });
  // A registry that does not answer.
  const registry = createServer(() => asked());
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void registry.closeAllConnections());
  onTestFinished(() => void registry.close());
  const { port } = registry.address() as AddressInfo;
  const { worker } = await repository.launch({
    npm_config_registry: `http://127.0.0.1:${port}/`,
    npm_config_cache: join(repository.folder, 'npm-cache'),
  });
  const integrity = `sha512-${'A'.repeat(86)}==`;
  const source = { type: 'npm', package: 'tiny', version: '1.2.3', integrity, model: 'model.json' };
  await mkdir(join(repository.modelsDir, 'pulled'));
  await writeFile(
    join(repository.modelsDir, 'pulled', 'model.json5'),
    JSON.stringify({
      source,
      format: 'tfjs-layers',
      input: { width: 8, height: 8, normalization: 'unit' },
      output: { activation: 'softmax' },
    }),
  );
  await request;
  const exit = once(worker, 'exit');
  worker.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});

test('the repository names the default model, and the worker registers it, also when it changes', async () => {
  await writeTinyModel(repository.modelsDir, 'ant');
  await writeTinyModel(repository.modelsDir, 'bee');
  await writeDefaultModel(repository.modelsDir, 'bee');
  const untilDefault = (name: string) =>
    repository.queue.untilRegistry(
      (registry) => registry.defaultModel(),
      (found) => found === name,
    );
  const { worker } = await repository.launch();
  await untilDefault('bee');
  await writeDefaultModel(repository.modelsDir, 'ant');
  worker.kill('SIGHUP');
  await untilDefault('ant');
});

test('a layer that the converter does not know falls back to the next engine, and the model says why', async () => {
  const middle = () => [
    tf.layers.reshape({ targetShape: [30, 4] }),
    tf.layers.lstm({ units: 4, returnSequences: true }),
    tf.layers.reshape({ targetShape: [5, 6, 4] }),
  ];
  await writeTinyModel(repository.modelsDir, 'remembering', { middle });
  await writeTinyModel(repository.modelsDir, 'insisting', { middle, spec: { engine: 'wasm' } });
  await writeTinyModel(repository.modelsDir, 'covered', { spec: { engine: 'wasm' } });
  await writeTinyModel(repository.modelsDir, 'impossible', { middle, spec: { engine: 'onnxruntime' } });
  const { log } = await repository.launch();
  const fallen = await repository.queue.model('remembering');
  expect(['tensorflow', 'wasm']).toContain(fallen.engine);
  expect(fallen.engineReason).toMatch(/onnxruntime: .*LSTM/);
  const insisting = await repository.queue.model('insisting');
  expect(insisting).toMatchObject({ engine: 'wasm', engineReason: 'The spec names it.' });
  for (const model of [fallen, insisting]) {
    const end = await repository.queue.end(await repository.queue.submit(model, image()));
    expect(end.result!.labels[0]!.name).toBe('red');
  }
  expect((await repository.queue.registry.models()).map(({ name }) => name)).toEqual([
    'covered',
    'insisting',
    'remembering',
  ]);
  const covered = await repository.queue.model('covered');
  expect(covered).toMatchObject({ engine: 'wasm', heatmap: { available: true } });
  const end = await repository.queue.end(
    await repository.queue.submit(covered, image(), { options: { heatmap: true } }),
  );
  expect(end.result!.heatmaps).toMatchObject({ width: 6, height: 5 });
  expect(end.result!.heatmaps!.maps.map(({ values }) => values.length)).toEqual([30, 30, 30]);
  await expect.poll(log).toMatch(/no engine can run impossible: onnxruntime: .*LSTM/);
});

test('a model is converted in a separate process, so that the others are served meanwhile', async () => {
  const programs = join(repository.folder, 'programs');
  const preload = join(repository.folder, 'preload.cjs');
  await writeFile(preload, `require('node:fs').appendFileSync(${JSON.stringify(programs)}, process.argv[1] + '\\n');`);
  await writeTinyModel(repository.modelsDir, 'first', { favorite: 0 });
  const { log } = await repository.launch({ NODE_OPTIONS: `--require=${preload}` });
  await repository.queue.model('first');
  const started = (await readFile(programs, 'utf8')).split('\n').map((file) => basename(file));
  expect(started.filter((program) => program.startsWith('conversion-main'))).toHaveLength(1);
  expect(log()).toContain('converting the model');
});
