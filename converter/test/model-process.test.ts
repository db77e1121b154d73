/** The process that runs a model ends with the command that started it, even if the model never ends. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { processExists } from '@inferql/queue/process-exists';
import { buildSystem, bundledProgram } from '@inferql/testing/build';
import { whenOutputRead } from '@inferql/testing/processes/child-process';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { writeFiles } from '../commands/test-repository.fixture.ts';

/** Says which process runs it, then keeps that busy. */
const ENDLESS_CODE = `export default async () => ({
  run() {
    console.log('runs in ' + process.pid);
    for (;;);
  },
});`;

let root: string;
let program: string;
beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'inferql-model-process-'));
  program = bundledProgram(await buildSystem(), 'converter/main');
  await writeFiles(path.join(root, 'models/endless'), {
    'model.json5': "{ engine: './engine.mjs', input: { width: 8, height: 8 }, labels: 'labels.json' }",
    'engine.mjs': ENDLESS_CODE,
    'labels.json': '["a", "b"]',
  });
});
afterAll(() => removeFolder(root));

/** Starts a command, and waits until it runs the model. */
async function startCheck(...flags: string[]) {
  const folders = ['--models-dir', path.join(root, 'models'), '--state-dir', path.join(root, 'state')];
  const command: ChildProcessWithoutNullStreams = spawn(process.execPath, [program, ...folders, 'check', ...flags]);
  onTestFinished(() => void command.kill('SIGKILL'));
  let output = '';
  const modelPid = await new Promise<number>((resolve, reject) => {
    for (const stream of [command.stdout, command.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        output += `${line}\n`;
        const [, pid] = /^runs in (\d+)$/.exec(line) ?? [];
        if (pid !== undefined) resolve(Number(pid));
      });
    }
    command.once('exit', () => reject(new Error(`the command ended: ${output}`)));
  });
  return { command, modelPid, output: () => output };
}

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends the command and the model', async (signal) => {
  const { command, modelPid, output } = await startCheck();
  command.kill(signal);
  const [exitCode] = await once(command, 'exit');
  await whenOutputRead(command);
  expect(exitCode, output()).toBe(130);
  expect(output()).toMatch(/^canceled$/m);
  await vi.waitUntil(() => !processExists(modelPid), 30_000);
});

test('a model whose command was killed ends, too', async () => {
  const { command, modelPid } = await startCheck();
  command.kill('SIGKILL');
  await once(command, 'exit');
  await vi.waitUntil(() => !processExists(modelPid), 30_000);
});

test('--run-limit is the time that a model has', async () => {
  const { command, output } = await startCheck('--run-limit', '5');
  await once(command, 'exit');
  await whenOutputRead(command);
  expect(output()).toMatch(
    /endless cannot be served: the model did not answer one image within 5 s, .* --run-limit 20$/m,
  );
});
