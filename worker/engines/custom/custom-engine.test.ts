/** Models with user code, from their folder to the answers of the engine process. */
import { expect, test } from 'vitest';
import { engineModelOf, startCompiledEngine } from '../process/compiled-engine.fixture.ts';
import type { SupervisedEngine } from '../process/supervised-engine.ts';
import { imageOf, setUpCustomModel } from './custom-model.fixture.ts';

const LABELS = ['dark', 'bright'];
/** Returns the brightness of the first byte; some values cause failures. */
const ENGINE = `
import { names } from './helpers/names.js';
export default {
  load: ({ input, labels }) => {
    if (labels.join() !== names.join()) throw new Error('other labels');
    const bytes = input.width * input.height * input.channels;
    return {
      run({ images, count }) {
        const rows = Array.from({ length: count }, (_, i) => images[i * bytes]);
        if (rows.includes(13)) throw new Error('unlucky');
        if (rows.includes(14)) process.exit(3);
        if (rows.includes(15)) for (;;);
        if (rows.includes(16)) return { probabilities: [1] };
        if (rows.includes(17)) return { probabilities: rows.map(() => [0.5, 0.5]), extra: [] };
        return {
          probabilities: rows.map((first) => [1 - first / 255, first / 255]),
          extra: rows.map((first) => ({ first })),
        };
      },
    };
  },
};
`;

const custom = setUpCustomModel();

const complete = (files: Record<string, string> = {}) => ({
  'model.json5': "{ engine: './engine.js', input: { width: 2, height: 2, channels: 1 } }",
  'labels.json': JSON.stringify(LABELS),
  'engine.js': ENGINE,
  'helpers/names.js': `export const names = ${JSON.stringify(LABELS)};`,
  ...files,
});

async function start(files?: Record<string, string>, timeLimitMs?: number): Promise<SupervisedEngine> {
  return (await custom.start(complete(files), timeLimitMs)).engine;
}

test('a model of a few lines answers for each image, with extra values', async () => {
  const running = await start();
  const { probabilities, extra } = await running.run([imageOf(0), imageOf(255), imageOf(51)], false);
  expect([...probabilities].map((value) => Math.round(value * 10) / 10)).toEqual([1, 0, 0, 1, 0.8, 0.2]);
  expect(extra).toEqual([{ first: 0 }, { first: 255 }, { first: 51 }]);
});

test('what it throws, and answers of another shape, fail the batch and not the process', async () => {
  const running = await start();
  const pid = running.pid();
  for (const [first, message] of [
    [13, 'unlucky'],
    [16, 'run returned 1 probabilities, expected 1 x 2 numbers for 1 images'],
    [17, 'run returned an `extra` that is not a list of 1'],
  ] as const) {
    const error = await running.run([imageOf(first)], false).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'MODEL_FAILED', cause: { message } });
  }
  await running.run([imageOf(1)], false);
  expect(running.pid()).toBe(pid);
});

test.each([
  [14, 'ENGINE_CRASHED', 30_000],
  [15, 'ENGINE_TIMEOUT', 2_000],
])('one that ends or hangs (%i) is started again', async (first, code, timeLimitMs) => {
  const running = await start({}, timeLimitMs);
  await expect(running.run([imageOf(first)], false)).rejects.toMatchObject({ code });
  const { probabilities } = await running.run([imageOf(255)], false);
  expect([...probabilities]).toEqual([0, 1]);
});

test('postprocess changes each image; if it throws, hangs or returns a wrong result, that image alone fails', async () => {
  const spec = `{
    engine: './engine.js', postprocess: './after.js', postprocessTimeLimitMs: 1500,
    input: { width: 2, height: 2, channels: 1 },
  }`;
  const after = `export default ({ probabilities, extra }, { labels }) => {
    switch (extra.first) {
      case 7: throw new Error('seven');
      case 8: return undefined;
      case 9: for (;;);
      case 10: return { probabilities: [1] };
      case 11: return 'bright';
      case 12: return Promise.resolve({});
      case 18: return { outputs: { color: [1] } };
      case 19: return { extra: 'x'.repeat(70000) };
      case 20: return { extra: 10n };
    }
    return { probabilities: Array.from(probabilities, (p) => (p > 0.5 ? 1 : 0)), extra: { is: labels[probabilities[1] > 0.5 ? 1 : 0] } };
  };`;
  const running = await start({ 'model.json5': spec, 'after.js': after });
  const pid = running.pid();
  const firsts = [200, 7, 8, 9, 10, 11, 12, 18, 19, 20, 21];
  const { probabilities, extra, failures } = await running.run(firsts.map(imageOf), false);
  const rowOf = (first: number) => [...probabilities.slice(2 * firsts.indexOf(first))].slice(0, 2);
  expect(rowOf(200)).toEqual([0, 1]);
  expect(rowOf(21)).toEqual([1, 0]);
  expect(rowOf(8)[0]).toBeCloseTo(1 - 8 / 255);
  expect([extra![0], extra![2], extra![10]]).toEqual([{ is: 'bright' }, { first: 8 }, { is: 'dark' }]);
  expect(Array.from(firsts, (_, at) => failures?.[at])).toEqual([
    undefined,
    'postprocess failed: seven',
    undefined,
    'postprocess failed: it took longer than 1500 ms',
    'postprocess failed: it returned 1 probabilities, expected 2',
    'postprocess failed: it returned a string, expected an object or nothing',
    'postprocess failed: it returned a promise, expected an object or nothing',
    'postprocess failed: it returned an output color, expected none',
    'extra has 70002 characters of JSON, more than 65536',
    expect.stringContaining('extra cannot be written as JSON: '),
    undefined,
  ]);
  expect(running.pid()).toBe(pid);
});

test('a model whose loading does not end is given up, and the message names the limit', async () => {
  const endless = 'export default { load: () => new Promise((resolve) => setTimeout(resolve, 1e8)) };';
  const model = await custom.load(complete({ 'engine.js': endless }));
  await expect(startCompiledEngine(engineModelOf(model, 'module'), 30_000, 1_000)).rejects.toThrow(
    'did not load the model within 1000 ms (INFERQL_ENGINE_LOAD_LIMIT_MS)',
  );
});

test('every file of its folder is part of the version', async () => {
  const { version } = await custom.load(complete());
  const { version: same } = await custom.load(complete());
  const { version: other } = await custom.load(
    complete({ 'helpers/names.js': `export const names = ${JSON.stringify(LABELS)}; // new` }),
  );
  expect(same).toBe(version);
  expect(other).not.toBe(version);
});

test.each([
  ['export default 5;', 'must have a default export: a function `load`'],
  ['export default () => ({});', 'must return an object with a function `run`'],
  ["import 'no-such-package';", "Cannot find package 'no-such-package'"],
  ["throw new Error('not today');", 'not today'],
  ["console.error('no\\nnot today'); process.exit(3);", 'exit code 3, signal null): no | not today'],
])('a module that cannot be used says why: %s', async (text, message) => {
  await expect(start({ 'engine.js': text })).rejects.toThrow(message);
});
