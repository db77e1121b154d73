import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ModelProcess } from '../model-process/model-process.ts';
import { withoutTelemetry } from './without-telemetry.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inferql-telemetry-'));
});
afterEach(() => removeFolder(folder));

test('onnxruntime writes nothing to the home folder', async () => {
  // The library starts with the first session, even if that fails.
  const program = `const { InferenceSession } = require('onnxruntime-node'); InferenceSession.create('missing').catch(() => {});`;
  // It also looks for variables of services that run tests.
  const env = withoutTelemetry({ PATH: process.env.PATH, HOME: folder });
  await promisify(execFile)(process.execPath, ['--eval', program], { env, cwd: import.meta.dirname });
  expect(readdirSync(folder)).toEqual([]);
});

test('a user may allow telemetry', () => {
  expect(withoutTelemetry({ ORT_DISABLE_TELEMETRY: '0' }).ORT_DISABLE_TELEMETRY).toBe('0');
});

test("a command's process for models does not report them", async () => {
  vi.stubEnv('ORT_DISABLE_TELEMETRY', undefined);
  const programPath = join(folder, 'program.mjs');
  writeFileSync(
    programPath,
    `import { writeFileSync } from 'node:fs';
    writeFileSync(import.meta.dirname + '/value', String(process.env.ORT_DISABLE_TELEMETRY));
    process.exit();`,
  );
  try {
    await new ModelProcess({ programPath, memoryLimitBytes: 1e9 }).ended;
  } finally {
    vi.unstubAllEnvs();
  }
  expect(readFileSync(join(folder, 'value'), 'utf8')).toBe('1');
});
