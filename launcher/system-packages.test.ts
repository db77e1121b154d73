import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { findOnPath, installSystemPackage, planInstallation } from './system-packages.ts';

const names = { 'apt-get': 'redis-server', brew: 'redis', pacman: 'valkey' };
let dir: string;
let output = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-packages-'));
  output = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += text;
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

/** A package manager that records what was printed before it ran, and its arguments. */
function addFakeManagers(): void {
  for (const name of ['apt-get', 'brew']) {
    writeFileSync(join(dir, name), `#!/bin/sh\necho "${name} $*" >> "${dir}/calls"\n`);
    chmodSync(join(dir, name), 0o755);
  }
  vi.stubEnv('PATH', `${dir}:/usr/bin:/bin`);
}

const install = (isAllowed: boolean) =>
  installSystemPackage({ dir, logsDir: dir, setupDir: dir }, 'Installing Redis', names, isAllowed);

test('root uses the package manager of the system, other users one that needs no password', () => {
  expect(planInstallation(names, true, (command) => command === 'apt-get')).toEqual({
    command: 'apt-get',
    steps: [['update'], ['install', '-y', '--no-install-recommends', 'redis-server']],
  });
  expect(planInstallation(names, false, () => true)).toEqual({ command: 'brew', steps: [['install', 'redis']] });
  expect(planInstallation(names, false, (command) => command === 'apt-get')).toBeUndefined();
  // A manager without a name for the package is not used.
  expect(planInstallation(names, true, (command) => command === 'dnf')).toBeUndefined();
});

test('the exact command is printed, and then runs', async () => {
  addFakeManagers();
  await install(true);
  const calls = readFileSync(join(dir, 'calls'), 'utf8').trim().split('\n');
  expect(output).toContain(`Installing Redis: ${calls.join(' && ')}`);
  expect(output).toContain('INFERQL_INSTALL=0 forbids it');
});

test('INFERQL_INSTALL=0: nothing runs, and the command is named', async () => {
  addFakeManagers();
  await expect(install(false)).rejects.toThrow(/INFERQL_INSTALL=0 forbids '(apt-get update|brew install redis)/);
  expect(existsSync(join(dir, 'calls'))).toBe(false);
});

test('a machine without a package manager is reported', async () => {
  vi.stubEnv('PATH', dir);
  await expect(install(true)).rejects.toThrow('no package manager works here without a password');
  expect(findOnPath('sh')).toBeUndefined();
});
