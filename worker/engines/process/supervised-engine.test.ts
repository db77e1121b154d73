import { readFileSync } from 'node:fs';
import { processExists } from '@inferql/queue/process-exists';
import { afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { EngineModel, ScriptedBehavior } from '../engine.ts';
import { buildEngines, startCompiledEngine } from './compiled-engine.fixture.ts';
import type { SupervisedEngine } from './supervised-engine.ts';

const input = { width: 4, height: 2, channels: 3 };
const QUIET: ScriptedBehavior = {
  waitMs: 0,
  waitMsPerImage: 0,
  throwOn: [],
  nanOn: [],
  hangOn: [],
  exitOn: [],
  abortOn: [],
  leakBytes: 0,
  failToLoad: false,
};

let engine: SupervisedEngine | undefined;

beforeAll(buildEngines);
afterEach(() => engine?.close());

async function start(
  script: Partial<ScriptedBehavior> = {},
  limits: { timeLimitMs?: number } = {},
): Promise<SupervisedEngine> {
  const model: EngineModel = {
    engine: 'scripted',
    input,
    classCount: 300,
    threads: 1,
    scripted: { ...QUIET, ...script },
  };
  engine = await startCompiledEngine(model, limits.timeLimitMs ?? 30_000);
  return engine;
}

/** An image whose best class is `index`. */
function imageOf(index: number): Uint8Array {
  const image = new Uint8Array(input.width * input.height * input.channels);
  image[0] = index % 256;
  image[1] = Math.floor(index / 256);
  return image;
}

function bestClasses(probabilities: Float32Array): number[] {
  return Array.from({ length: probabilities.length / 300 }, (_, image) => {
    const row = probabilities.subarray(image * 300, (image + 1) * 300);
    return row.indexOf(Math.max(...row));
  });
}

test('each image of a batch gets its own answer, in order, batch after batch of changing size', async () => {
  const running = await start();
  for (const wanted of [[7], [1, 2, 3, 299, 5], [9, 8], [0]]) {
    const { probabilities, inferenceMs } = await running.run(wanted.map(imageOf), false);
    expect(bestClasses(probabilities)).toEqual(wanted);
    expect(inferenceMs).toBeGreaterThanOrEqual(0);
  }
});

test('an exception of the engine fails the batch and leaves the process running', async () => {
  const running = await start({ throwOn: [13] });
  const pid = running.pid();
  await expect(running.run([imageOf(1), imageOf(13)], false)).rejects.toMatchObject({ code: 'MODEL_FAILED' });
  expect(bestClasses((await running.run([imageOf(2)], false)).probabilities)).toEqual([2]);
  expect(running.pid()).toBe(pid);
});

test.each<{ how: string; script: Partial<ScriptedBehavior> }>([
  { how: 'exits', script: { exitOn: [66] } },
  { how: 'aborts as native code would', script: { abortOn: [66] } },
])('an engine that $how fails its batch with ENGINE_CRASHED and is started again', async ({ script }) => {
  const running = await start(script);
  const pid = running.pid();
  await expect(running.run([imageOf(66)], false)).rejects.toMatchObject({ code: 'ENGINE_CRASHED' });
  await running.ready();
  expect(running.pid()).not.toBe(pid);
  expect(running.downSinceMs()).toBeUndefined();
  expect(bestClasses((await running.run([imageOf(3)], false)).probabilities)).toEqual([3]);
});

test('an engine that hangs is killed at its time limit and started again', async () => {
  const running = await start({ hangOn: [5] }, { timeLimitMs: 1_500 });
  const pid = running.pid()!;
  await expect(running.run([imageOf(5)], false)).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' });
  expect(processExists(pid)).toBe(false);
  expect(bestClasses((await running.run([imageOf(6)], false)).probabilities)).toEqual([6]);
});

test('a model that cannot be loaded is reported at once and leaves no process', async () => {
  await expect(start({ failToLoad: true })).rejects.toMatchObject({ name: 'EngineLoadError', failure: 'failed' });
});

test("the engine's process does not have the worker's name", async () => {
  const running = await start();
  const commandLine = readFileSync(`/proc/${running.pid()}/cmdline`, 'utf8');
  expect(commandLine).not.toContain('worker/main');
  expect(commandLine).toContain('engines/process/engine-process-main');
});

test('the engine keeps the memory that it frees, whatever the worker does', async () => {
  vi.stubEnv('MALLOC_TRIM_THRESHOLD_', '131072');
  vi.stubEnv('MALLOC_ARENA_MAX', '2');
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const running = await start();
  const environment = readFileSync(`/proc/${running.pid()}/environ`, 'utf8').split('\0');
  expect(environment).toContain('MALLOC_ARENA_MAX=2');
  expect(environment.filter((entry) => entry.startsWith('MALLOC_TRIM'))).toEqual([]);
});

test('a closed engine answers UNAVAILABLE and its process is gone', async () => {
  const running = await start();
  const pid = running.pid()!;
  await running.close();
  expect(processExists(pid)).toBe(false);
  await expect(running.run([imageOf(1)], false)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
