/** Real processes: programs that report what servers and workers report. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RunningSystem, type SystemOptions } from './running-system.ts';

let dir: string;
let system: RunningSystem;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-running-system-'));
});

afterEach(async () => {
  await system.stop();
  rmSync(dir, { recursive: true });
});

function run(server: string, options: Partial<SystemOptions> = {}): RunningSystem {
  const program = join(dir, 'server.mjs');
  writeFileSync(program, `${server}\nsetInterval(() => {}, 1000);`);
  system = new RunningSystem({
    ...{ port: 0, host: '127.0.0.1', workers: 0, logStyle: 'people', cwd: dir, env: process.env },
    ...{ stateDir: dir, modelsDir: dir, programs: { server: program, worker: program } },
    redis: { url: 'redis://127.0.0.1:1', stop: async () => {} },
    ...options,
  });
  return system;
}

test('a system whose record cannot be written is up all the same', async () => {
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir);
  const { listening } = run(`process.send({ type: 'listening', url: 'http://127.0.0.1:4000' });`, { stateDir });
  rmSync(stateDir, { recursive: true });
  expect(await listening).toBe('http://127.0.0.1:4000');
});
