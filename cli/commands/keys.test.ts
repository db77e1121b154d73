import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommandContext } from '../command-context.ts';
import { addKeys } from './keys.ts';

let server: TestRedis;

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());

/** The notes for people that the command writes besides its output. */
async function keys(...words: string[]): Promise<string[]> {
  const notes: string[] = [];
  const screen = { print: () => {}, note: (line: string) => notes.push(line) };
  const program = new Command().exitOverride();
  const { signal } = new AbortController();
  addKeys(program, { env: {}, signal, screen } as unknown as CommandContext);
  await program.parseAsync(['keys', ...words, '--redis', server.url], { from: 'user' });
  return notes;
}

test('an empty list says whether there are no keys, or none of the tenant', async () => {
  expect(await keys('list')).toEqual(['No keys yet. Create one with `inferql keys create --tenant NAME`.']);
  await keys('create', '--tenant', 'bob');
  expect(await keys('list')).toEqual([]);
  expect(await keys('list', '--tenant', 'acme')).toEqual([
    'acme has no keys. Create one with `inferql keys create --tenant acme`.',
  ]);
});
