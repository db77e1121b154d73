/** What `models add` and the process that runs the model take together at most, as a multiple of the model's file. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { buildSystem } from '@inferql/testing/build';
import { hasEnded } from '@inferql/testing/processes/has-ended';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeModel } from '../onnx-writer/graph/encode-onnx.ts';
import { BATCH, floatTensor } from '../onnx-writer/graph/graph.ts';
import { makeWeights, writeH5, writeKeras } from './keras-writer.fixture.ts';

const MEGABYTE = 2 ** 20;
/** As docs/export-your-model.md says. */
const MAX_BYTES = (fileBytes: number) => 2.5 * fileBytes + 300 * MEGABYTE;
const MEASURE_EVERY_MS = 10;
const SIZES = { side: 64, hidden: 2_600, classes: 10 };

let root: string;
beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), 'inferql-memory-'));
  cpSync(path.resolve(import.meta.dirname, '../../models/samples'), path.join(root, 'models/samples'), {
    recursive: true,
  });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const weights = (rows: number, columns: number) => floatTensor([rows, columns], makeWeights(rows, columns));

/** Two dense layers over all pixels: 122 MB of weights in the file itself. */
function writeModel(): string {
  const { side, hidden, classes } = SIZES;
  const size = side * side * 3;
  const bytes = encodeModel(
    {
      nodes: [
        { op: 'Flatten', inputs: ['input'], outputs: ['flat'], attributes: { axis: { int: 1 } } },
        { op: 'MatMul', inputs: ['flat', 'first'], outputs: ['hidden'], attributes: {} },
        { op: 'Relu', inputs: ['hidden'], outputs: ['positive'], attributes: {} },
        { op: 'MatMul', inputs: ['positive', 'second'], outputs: ['scores'], attributes: {} },
      ],
      constants: new Map([
        ['first', weights(size, hidden)],
        ['second', weights(hidden, classes)],
      ]),
      inputs: [{ name: 'input', type: 'float32', shape: [BATCH, 3, side, side] }],
      outputs: [{ name: 'scores', type: 'float32', shape: [BATCH, classes] }],
    },
    'large',
  );
  const file = path.join(root, 'large.onnx');
  writeFileSync(file, bytes);
  return file;
}

/** What a process and those that it started have now, in bytes. */
async function measureFamily(pid: number): Promise<number> {
  const children = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(children)) return measureByPs(pid);
  const started = readFileSync(children, 'utf8').split(' ').filter(Boolean);
  const kilobytes = [pid, ...started].map((one) => {
    return Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0);
  });
  return kilobytes.reduce((sum, one) => sum + one, 0) * 1024;
}

/** On systems without /proc. */
async function measureByPs(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,rss=']);
  const rows = stdout.split('\n').map((row) => row.trim().split(/\s+/).map(Number));
  const ours = rows.filter(([one, parent]) => one === pid || parent === pid);
  return ours.reduce((sum, [, , kilobytes = 0]) => sum + kilobytes * 1024, 0);
}

/** Adds a file in a process, and returns the most memory that it had: its own, exactly, or together with its model process, as often as that is measured. */
async function measurePeak(file: string): Promise<{ peakBytes: number; printed: string }> {
  // Linux counts what this process had when it started the other one as part of maxRSS; VmHWM begins with the program.
  const report = `import { existsSync, readFileSync } from 'node:fs';
    const readPeak = () => existsSync('/proc/self/status')
      ? /VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
      : process.resourceUsage().maxRSS;
    process.on('exit', () => process.stderr.write('peak ' + readPeak()));`;
  const command = spawn(process.execPath, [
    '--import',
    `data:text/javascript,${encodeURIComponent(report)}`,
    path.join(await buildSystem(), 'converter/main.js'),
    ...['--models-dir', path.join(root, 'models'), '--state-dir', path.join(root, 'state')],
    ...['add', file, '--name', `large-${path.extname(file).slice(1)}`],
  ]);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    command[name].setEncoding('utf8').on('data', (chunk: string) => {
      output[name] += chunk;
    });
  }
  const closed = once(command, 'close');
  let peakBytes = 0;
  while (!hasEnded(command)) {
    // One that ends meanwhile cannot be read.
    peakBytes = Math.max(peakBytes, await measureFamily(command.pid ?? 0).catch(() => 0));
    // Without a pause, measuring takes more CPU than what is measured.
    await wait(MEASURE_EVERY_MS);
  }
  await closed;
  const { stdout, stderr } = output;
  rmSync(path.join(root, 'state'), { recursive: true, force: true });
  return { peakBytes: Math.max(peakBytes, Number(/peak (\d+)/.exec(stderr)?.[1]) * 1024), printed: stdout };
}

test.each([
  ['an ONNX file with its weights inside', async () => writeModel()],
  ['an .h5 file', () => writeH5(root, SIZES)],
  ['a .keras file', () => writeKeras(root, SIZES)],
])('adding %s takes no more than 2.5 times the file and 300 MB', async (_, write) => {
  const file = await write();
  const { size } = statSync(file);
  expect(size).toBeGreaterThan(100 * MEGABYTE);
  const { peakBytes, printed } = await measurePeak(file);
  expect(printed).toContain(`added large-${path.extname(file).slice(1)}`);
  if (!file.endsWith('.onnx')) expect(printed).toContain('compared with tfjs on 5 images');
  expect(peakBytes).toBeGreaterThan(size / 2);
  expect(peakBytes).toBeLessThan(MAX_BYTES(size));
});
