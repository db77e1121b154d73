/** What the worker makes of an engine's answers, of its silence and of its end: each engine is a program that a test writes. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processExists } from '@inferql/queue/process-exists';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { EngineModel } from '../engine.ts';
import { ANSWERS_AT } from './protocol.ts';
import { startSupervisedEngine } from './supervised-engine.ts';

const MODEL: EngineModel = {
  engine: 'scripted',
  input: { width: 1, height: 1, channels: 3 },
  classCount: 2,
  threads: 1,
};
/** As every engine does, it loads its model and ends with its worker. `written` is where its answers end. */
const ENGINE = `
  import { readSync, writeSync } from 'node:fs';
  process.on('disconnect', () => process.exit());
  const send = (message) => process.send(message);
  const loaded = () => send({ type: 'loaded', rssBytes: 1, hasHeatmaps: true });
  const readImages = (bytes) => { const images = Buffer.alloc(bytes); readSync(4, images, 0, bytes, 0); return [...images]; };
  let written = ${ANSWERS_AT};
  const write = (values) => { written += writeSync(4, new Uint8Array(values.buffer), 0, values.byteLength, written); };
  const done = (id, more) => send({ type: 'done', id, inferenceMs: 1, rssBytes: 2, ...more });
`;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferql-engines-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LOAD_LIMIT_MS = 30_000;
let engines = 0;

/** @param onMessage the body of its listener to `message` @param onLine gets each line that it prints */
async function start(onMessage: string, model: Partial<EngineModel> = {}, onLine = (_line: string) => {}) {
  const childPath = join(folder, `engine-${++engines}.mjs`);
  writeFileSync(childPath, `${ENGINE}\nprocess.on('message', (message) => { ${onMessage} });`);
  const logged: { msg: string; lastLines?: string[] }[] = [];
  const write = (text: string) => {
    const entry = JSON.parse(text);
    if (entry.line !== undefined) onLine(entry.line);
    logged.push(entry);
  };
  const log = pino({ level: 'debug' }, { write });
  const limits = { timeLimitMs: 30_000, loadLimitMs: LOAD_LIMIT_MS };
  const engine = await startSupervisedEngine({ model: { ...MODEL, ...model }, ...limits, log, childPath });
  onTestFinished(() => engine.close());
  return { engine, logged };
}

/** How many engines' memory this process holds, which no path leads to. */
function countSharedFiles(): number {
  const isShared = (fd: string) => {
    try {
      return new RegExp(`/inferql-${process.pid}-\\w+ \\(deleted\\)$`).test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // That of this list, which is closed by now.
      return false;
    }
  };
  return readdirSync('/proc/self/fd').filter(isShared).length;
}

const image = (red: number) => Uint8Array.of(red, 0, 0);

test('maps and outputs are read behind the probabilities, each at a multiple of four bytes', async () => {
  const spec = { elements: 3, from: '' };
  const { engine } = await start(
    `if (message.type === 'load') return loaded();
     write(Float32Array.of(0.25, 0.75, 1, 0));
     if (message.wantHeatmaps) write(Float32Array.of(1, 2, 3, 4));
     write(Uint8Array.of(1, 2, 3, 4, 5, 6, 0, 0));
     write(Int32Array.of(10, 20, 30, 40, 50, 60));
     const maps = message.wantHeatmaps && { labels: 1, width: 2, height: 1 };
     done(message.id, { probabilities: 4, ...(maps && { maps }), extra: ['{"a":1}', null], failures: [null, 'dark'] });
     written = ${ANSWERS_AT};`,
    {
      outputs: [
        { ...spec, name: 'bytes', dtype: 'uint8' },
        { ...spec, name: 'numbers', dtype: 'int32' },
      ],
    },
  );
  const answer = {
    probabilities: Float32Array.of(0.25, 0.75, 1, 0),
    outputs: { bytes: Uint8Array.of(1, 2, 3, 4, 5, 6), numbers: Int32Array.of(10, 20, 30, 40, 50, 60) },
    extra: [{ a: 1 }, undefined],
    failures: [undefined, 'dark'],
    inferenceMs: 1,
  };
  expect(await engine.run([image(1), image(2)], false)).toEqual(answer);
  const maps = { labels: 1, width: 2, height: 1, values: Float32Array.of(1, 2, 3, 4) };
  expect(await engine.run([image(1), image(2)], true)).toEqual({ ...answer, maps });
  expect(engine.rssBytes()).toBe(2);
});

test('images that are parts of larger buffers are passed on as they are', async () => {
  const { engine } = await start(
    `if (message.type === 'load') return loaded();
     const images = readImages(6);
     write(Float32Array.of(images[0], images[1], images[3], images[5]));
     done(message.id, { probabilities: 4 });`,
  );
  const sent = Uint8Array.of(9, 1, 2, 3, 4, 5, 6, 9);
  const { probabilities } = await engine.run([sent.subarray(1, 4), sent.subarray(4, 7)], false);
  expect([...probabilities]).toEqual([1, 2, 4, 6]);
});

test.each([
  ['too few values', `done(message.id, { probabilities: 2 })`, /2 values for 2 images/],
  ['values that it did not write', `done(message.id, { probabilities: 4 })`, /wrote less than it said/],
  ['a failure', `send({ type: 'failed', id: message.id, message: 'out of memory' })`, /out of memory/],
])('an answer with %s is MODEL_FAILED, with the reason', async (_what, answer, reason) => {
  const { engine } = await start(`if (message.type === 'load') return loaded(); ${answer};`);
  await expect(engine.run([image(1), image(2)], false)).rejects.toMatchObject({
    code: 'MODEL_FAILED',
    cause: { message: expect.stringMatching(reason) },
  });
});

test('a batch is run once at a time, and an answer to another one is none', async () => {
  const { engine } = await start(
    `if (message.type === 'load') return loaded();
     write(Float32Array.of(0, 1));
     done(message.id - 1, { probabilities: 2, inferenceMs: 5 });
     done(message.id, { probabilities: 2 });
     done(message.id, { probabilities: 2, inferenceMs: 5 });`,
  );
  const first = engine.run([image(1)], false);
  await expect(engine.run([image(2)], false)).rejects.toThrow('running a batch already');
  expect(await first).toMatchObject({ inferenceMs: 1 });
  expect(await engine.run([image(2)], false)).toMatchObject({ inferenceMs: 1 });
});

test.each(['done', 'failed'])('no time limit is left of a run that is %s', async (type) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { engine } = await start(
    `if (message.type === 'load') return loaded();
     if (${type === 'failed'}) return send({ type: 'failed', id: message.id, message: 'x' });
     write(Float32Array.of(0, 1)); done(message.id, { probabilities: 2 });`,
  );
  expect(vi.getTimerCount()).toBe(0);
  await engine.run([image(1)], false).catch(() => undefined);
  expect(vi.getTimerCount()).toBe(0);
});

test('a model that is not loaded in time is an error that names the setting, and leaves no process', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  let pid = 0;
  const failure = await start('console.log(process.pid);', {}, (line) => {
    pid = Number(line);
    vi.advanceTimersByTime(LOAD_LIMIT_MS);
  }).catch((error: Error) => error);
  expect(failure).toMatchObject({
    name: 'EngineLoadError',
    failure: 'failed',
    message: expect.stringContaining(`${LOAD_LIMIT_MS} ms (INFERQL_ENGINE_LOAD_LIMIT_MS)`),
  });
  expect(processExists(pid)).toBe(false);
});

test('an engine that cannot load its model is ended', async () => {
  const load = `send({ type: 'loadFailed', failure: 'unsupported', message: String(process.pid) });`;
  const failure = await start(load).catch((error: Error) => error);
  expect(failure).toMatchObject({ failure: 'unsupported' });
  await expect.poll(() => processExists(Number((failure as Error).message))).toBe(false);
});

test('an engine that ends is started again each time, and its last lines are logged', async () => {
  const { engine, logged } = await start(
    `if (message.type === 'load') return loaded();
     for (let line = 0; line < 30; line++) console.log(line + ' ' + 'x'.repeat(1_000));
     process.stdout.write('', () => process.exit(7));`,
  );
  const pids = new Set<number | undefined>();
  const shared = countSharedFiles();
  expect(shared).toBeGreaterThan(0);
  for (let crash = 0; crash < 3; crash++) {
    pids.add(engine.pid());
    await expect(engine.run([image(1)], false)).rejects.toMatchObject({ code: 'ENGINE_CRASHED' });
    await engine.ready();
    expect(engine.downSinceMs()).toBeUndefined();
  }
  expect(pids.size).toBe(3);
  expect(countSharedFiles()).toBe(shared);
  const { lastLines } = logged.find(({ msg }) => msg.startsWith('engine process ended'))!;
  expect(lastLines!.map((line) => line.split(' ')[0])).toEqual(Array.from({ length: 20 }, (_, line) => `${line + 10}`));
  expect(Math.max(...lastLines!.map(({ length }) => length))).toBe(500);
});

test('while an engine is down, the time since then is known', async () => {
  const { engine } = await start(`if (message.type === 'load') return loaded(); process.exit(7);`);
  expect(engine.downSinceMs()).toBeUndefined();
  const before = performance.now();
  await expect(engine.run([image(1)], false)).rejects.toMatchObject({ code: 'ENGINE_CRASHED' });
  expect(engine.pid()).toBeUndefined();
  expect(engine.downSinceMs()).toBeGreaterThanOrEqual(before);
});
