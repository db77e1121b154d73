/** Models that hang, take all memory or crash, in every command that runs them. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { encodeEndlessClassifier } from '../golden/loop-file.fixture.ts';
import { encodeClassifier } from '../golden/onnx-file.fixture.ts';
import { addModel } from './add.ts';
import { checkModels } from './check.ts';
import { createTestRunner } from './command-context.fixture.ts';
import type { CommandContext } from './command-context.ts';
import { useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

/** A context whose models get this much. */
function limit(limits: { runLimitMs?: number; memoryLimitBytes?: number }): CommandContext {
  const runner = createTestRunner(limits);
  onTestFinished(() => runner.close());
  return { ...repository.context, runner };
}

async function write(name: string, bytes: Uint8Array): Promise<string> {
  const file = path.join(repository.root, name);
  await writeFile(file, bytes);
  return file;
}

/** What is left after a model was refused. */
const leftovers = async () => ({
  models: await readdir(repository.context.modelsDir),
  state: await readdir(repository.context.stateDir),
});

test('an ONNX file with an endless loop is refused after its time, and leaves nothing; the next file is added', async () => {
  const context = limit({ runLimitMs: 10_000 });
  const adding = addModel(await write('endless.onnx', encodeEndlessClassifier()), {}, context);
  await expect(adding).rejects.toMatchObject({
    code: 'RUN_TIMEOUT',
    message: expect.stringMatching(
      /^the model did not answer one image within 10 s, so it was stopped: it may have a loop .* --run-limit 40$/,
    ),
  });
  expect(await leftovers()).toEqual({ models: ['samples'], state: [] });
  const added = await addModel(await write('good.onnx', encodeClassifier()), {}, context);
  expect(added.classCount).toBe(4);
});

test('an ONNX file whose loop takes ever more memory is refused before the machine has none', async () => {
  const context = limit({ memoryLimitBytes: 700e6 });
  const adding = addModel(await write('growing.onnx', encodeEndlessClassifier({ collects: true })), {}, context);
  await expect(adding).rejects.toMatchObject({
    code: 'RUN_OUT_OF_MEMORY',
    message: expect.stringMatching(/^the model took more than 0\.7 GB of memory when it had to answer one image/),
  });
});

test.each([
  ['is killed, as by the system', "process.kill(process.pid, 'SIGKILL')", /\(SIGKILL, as systems do .*\) when/],
  ['crashes as native code does', 'process.abort()', /\(SIGABRT\) when/],
  ['exits', "console.error('no license'); process.exit(3)", /\(exit code 3\) when .*: no license\./],
])('code that %s is not served, and the models after it are checked', async (_, statement, message) => {
  const { modelsDir } = repository.context;
  const engine = `export default async () => ({ run() { ${statement}; } });`;
  const spec = { engine: './engine.mjs', input: { width: 8, height: 8 }, labels: 'labels.json' };
  await writeFiles(path.join(modelsDir, 'crashing'), {
    'model.json5': JSON.stringify(spec),
    'engine.mjs': engine,
    'labels.json': '["a","b"]',
  });
  await addModel(await write('good.onnx', encodeClassifier()), {}, repository.context);
  repository.printed.length = 0;
  expect(await checkModels([], repository.context)).toBe(1);
  const printed = repository.printed.join('\n');
  expect(printed).toMatch(/crashing cannot be served: the model ended its process .* had to answer one image/);
  expect(printed).toMatch(message);
  expect(printed).toMatch(/^good [0-9a-f]{12}: 4 classes$/m);
});

test('canceling a command ends the model that it runs', async () => {
  const canceling = new AbortController();
  const runner = createTestRunner({ signal: canceling.signal });
  onTestFinished(() => runner.close());
  const file = await write('endless.onnx', encodeEndlessClassifier());
  await mkdir(path.join(repository.root, 'elsewhere'), { recursive: true });
  const session = await runner.openOnnx(file, { input: { width: 8, height: 8 } });
  const feeds = { input: { type: 'float32', dims: [1, 3, 8, 8], data: new Float32Array(192) } };
  const running = session.run(feeds, ['looped'], 1);
  canceling.abort();
  await expect(running).rejects.toMatchObject({ code: 'CANCELED' });
  await session.release();
  await expect(runner.openOnnx(file, { input: { width: 8, height: 8 } })).rejects.toMatchObject({ code: 'CANCELED' });
});
