/** The private Redis, if its guard, its launcher or the machine fails. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { findRedisServer } from '@inferql/testing/redis/redis-server';
import { expect, onTestFinished, test } from 'vitest';
import { withRedis } from './connect.ts';
import { type RunningRedis, startPrivateRedis } from './private-redis.ts';

const silent = { showStep: <T>(_title: string, work: () => Promise<T>) => work(), printError: () => {} };

function makeStateDir(name = 'state'): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'inferql-private-redis-')));
  onTestFinished(() => removeFolder(root));
  mkdirSync(join(root, name));
  return join(root, name);
}

async function start(stateDir: string): Promise<RunningRedis> {
  const redis = await startPrivateRedis(findRedisServer(), stateDir, silent);
  onTestFinished(() => redis.stop());
  return redis;
}

function ask<T>({ url }: RunningRedis, ...command: [string, ...string[]]): Promise<T> {
  return withRedis(url, 5_000, (redis) => redis.call(...command) as Promise<T>);
}

/** A program that behaves as a Redis server would: `script` runs in its data folder. */
function writeProgram(stateDir: string, script: string): string {
  const path = join(stateDir, 'server');
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

test.each(['a [b]', 'a "b" \'c\' #d %20 é'])('its settings apply in a folder named %s', async (name) => {
  const stateDir = makeStateDir(name);
  const redis = await start(stateDir);
  expect(await ask(redis, 'CONFIG', 'GET', 'dir')).toEqual(['dir', join(stateDir, 'redis')]);
});

test('if its launcher is gone and the next start takes its data, its guard ends instead of restarting it', async () => {
  const stateDir = makeStateDir();
  const former = await start(stateDir);
  await ask(former, 'SET', 'kept', 'yes');
  const guardEnded = once(former.lifeline!, 'close');
  // A killed launcher's lock is taken like one that is not there. What it started may still hold the lifeline.
  rmSync(join(stateDir, 'redis/launcher.lock'));
  const next = await start(stateDir);
  expect(await ask(next, 'GET', 'kept')).toBe('yes');
  await guardEnded;
  expect(await ask(next, 'GET', 'kept')).toBe('yes');
});

test('if its guard is killed, it is still stopped', async () => {
  const redis = await start(makeStateDir());
  const [, pid] = /process_id:(\d+)/.exec(await ask(redis, 'INFO', 'server'))!;
  const guard = Number(execFileSync('ps', ['-o', 'ppid=', '-p', pid!], { encoding: 'utf8' }));
  const guardEnded = once(redis.lifeline!, 'close');
  process.kill(guard, 'SIGKILL');
  await guardEnded;
  await redis.stop();
  await expect(ask(redis, 'PING')).rejects.toThrow('ECONNREFUSED');
});

test.each([
  [
    'is killed while it reads them',
    'echo "Reading RDB base file on AOF loading..." >>redis.log; kill -9 $$',
    'signal 9',
  ],
  [
    'may not write',
    'echo "Error moving temp append only file on the final destination: Permission denied" >>redis.log; exit 1',
    'Permission denied',
  ],
])('data are not set aside because Redis %s', async (_name, script, reason) => {
  const stateDir = makeStateDir();
  const first = await startPrivateRedis(findRedisServer(), stateDir, silent);
  await first.stop();
  await expect(startPrivateRedis(writeProgram(stateDir, script), stateDir, silent)).rejects.toThrow(reason);
  expect(readdirSync(join(stateDir, 'redis')).filter((name) => name.startsWith('damaged'))).toEqual([]);
  expect(existsSync(join(stateDir, 'redis/appendonlydir'))).toBe(true);
});

test('damaged data are set aside, although Redis also says that it may not open as many files as it wants', async () => {
  const stateDir = makeStateDir();
  const first = await startPrivateRedis(findRedisServer(), stateDir, silent);
  await first.stop();
  const binary = findRedisServer();
  const script = `if [ -e damaged ]; then exec ${binary} "$@"; fi; touch damaged
echo "Server can't set maximum open files to 10032 because of OS error: Operation not permitted." >>redis.log
echo "Bad file format reading the append only file" >>redis.log; exit 1`;
  const next = await startPrivateRedis(writeProgram(stateDir, script), stateDir, silent);
  onTestFinished(() => next.stop());
  expect(readdirSync(join(stateDir, 'redis')).filter((name) => name.startsWith('damaged-'))).toHaveLength(1);
});
