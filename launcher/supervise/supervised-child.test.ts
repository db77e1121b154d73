/** Real processes: small programs that end in the ways that servers and workers do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ChildMessage, SupervisedChild } from './supervised-child.ts';

let dir: string;
let child: SupervisedChild | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-child-'));
});

afterEach(async () => {
  child?.kill();
  await child?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs a program and resolves, for each call of `next()`, to its next message or death. */
function supervise(code: string, lifeline?: Socket) {
  const program = join(dir, 'program.mjs');
  writeFileSync(program, code);
  const events: (ChildMessage | { failuresInARow: number; how: string })[] = [];
  let wake = () => {};
  const add = (event: (typeof events)[number]) => {
    events.push(event);
    wake();
  };
  child = new SupervisedChild({
    name: 'program',
    args: [program],
    cwd: dir,
    env: process.env,
    logStyle: 'people',
    lifeline,
    onMessage: add,
    onDeath: add,
  });
  const next = async () => {
    while (events.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return events.shift()!;
  };
  return { next, child };
}

test('a program that ends is started again, and its consecutive failures are counted', async () => {
  const { next } = supervise(`process.send({ type: 'hello' }, () => process.exit(75));`);
  expect(await next()).toEqual({ type: 'hello' });
  expect(await next()).toEqual({ failuresInARow: 1, how: 'exit code 75' });
  expect(await next()).toEqual({ type: 'hello' });
  expect(await next()).toEqual({ failuresInARow: 2, how: 'exit code 75' });
});

test('stop lets it finish, and it is not started again', async () => {
  const { next, child } = supervise(`
    process.on('SIGTERM', () => process.send({ type: 'finished' }, () => process.exit(0)));
    process.send({ type: 'hello' });
    setInterval(() => {}, 1000);`);
  await next();
  await child.stop();
  expect(await next()).toEqual({ type: 'finished' });
  expect(child.isRunning).toBe(false);
});

test('restart lets it finish and starts it at once, without counting a failure', async () => {
  const { next, child } = supervise(`
    process.on('SIGTERM', () => process.exit(0));
    process.send({ type: 'hello', pid: process.pid });
    setInterval(() => {}, 1000);`);
  const first = (await next()) as ChildMessage;
  child.restart();
  const second = (await next()) as ChildMessage;
  expect(second.type).toBe('hello');
  expect(second.pid).not.toBe(first.pid);
});

test('restart of a program that is down does not wait for its backoff', async () => {
  const { next, child } = supervise(`process.send({ type: 'hello' }, () => process.exit(75));`);
  await next();
  await next();
  child.restart();
  expect(await next()).toEqual({ type: 'hello' });
});

test('a program is started without the lifeline of a Redis whose guard is gone', async () => {
  const lifeline = new Socket();
  lifeline.destroy();
  const { next } = supervise(`process.send({ type: 'hello' });`, lifeline);
  expect(await next()).toEqual({ type: 'hello' });
});
