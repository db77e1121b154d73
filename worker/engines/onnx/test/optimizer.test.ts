/** The process that writes a model as onnxruntime runs it on this machine, with a file that onnxruntime never finishes to read. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@inferql/testing/until';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildEngines } from '../../process/compiled-engine.fixture.ts';

let optimizedModel: string;
let folder: string;
let host: ChildProcess;

beforeAll(async () => {
  optimizedModel = join(await buildEngines(), 'worker/engines/onnx/optimized-model.js');
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferql-optimizer-'));
});
afterEach(async () => {
  host.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** A process that looks for the file of a model, as an engine does, and prints what it found. */
function findFile(limitMs: number): ChildProcess {
  const model = join(folder, 'model.onnx');
  // Nobody ever writes to it.
  execFileSync('mkfifo', [model]);
  const program = `import { findOnnxFile } from ${JSON.stringify(optimizedModel)};
    console.log(JSON.stringify(await findOnnxFile(${JSON.stringify(model)}, ${limitMs})));`;
  host = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'ignore'] });
  return host;
}

/** The process ids of those that work on a file of this test, other than the host. */
async function listOptimizers(): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== host.pid);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return pids.filter((_pid, at) => lines[at]!.includes('optimize-main') && lines[at]!.includes(folder));
}

test('an engine that is killed leaves no optimizer', async () => {
  findFile(600_000);
  await until(listOptimizers, ({ length }) => length === 1);
  host.kill('SIGKILL');
  await until(listOptimizers, ({ length }) => length === 0);
});

test('after half of the time for loading the model is loaded as it is, and nothing is left', async () => {
  findFile(3_000);
  let output = '';
  host.stdout!.on('data', (chunk) => {
    output += chunk;
  });
  await once(host, 'close');
  expect(JSON.parse(output)).toEqual({ path: join(folder, 'model.onnx'), isOptimized: false });
  expect(await listOptimizers()).toEqual([]);
  expect(await readdir(folder)).toEqual(['model.onnx']);
});
