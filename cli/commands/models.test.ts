import { Consumer } from '@inferql/queue/jobs/consumer';
import { DEFAULT_PREFIX, registryKeys } from '@inferql/queue/redis/keys';
import { makeServedModel } from '@inferql/testing/data/served-model';
import { Command } from 'commander';
import { beforeEach, expect, test } from 'vitest';
import type { CommandContext } from '../command-context.ts';
import { addModels } from './models.ts';
import { useRedis } from './redis.fixture.ts';

const used = useRedis();
let printed: string[];

beforeEach(() => {
  printed = [];
});

const forget = (...words: string[]) => runModels('forget', ...words, '--redis', used.server.url);

async function runModels(...words: string[]): Promise<string> {
  const screen = { print: (line: string) => printed.push(line) };
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  const { signal } = new AbortController();
  addModels(program, { env: {}, signal, screen } as unknown as CommandContext);
  try {
    await program.parseAsync(['models', ...words], { from: 'user' });
    return printed.join('\n');
  } catch (error) {
    return (error as Error).message;
  }
}

async function announce(name: string) {
  const consumer = new Consumer({
    redis: used.redis,
    blockingRedis: used.blockingRedis,
    prefix: DEFAULT_PREFIX,
    worker: `worker of ${name}`,
    labels: ['a', 'b'],
    model: makeServedModel(name, { classCount: 2 }),
  });
  await consumer.register({ worker: `worker of ${name}`, version: 'aaaaaaaaaaaa', engine: 'scripted', startedAtMs: 0 });
  return consumer;
}

test('models forget removes a model that nobody serves', async () => {
  const consumer = await announce('ghost');
  expect(await forget('ghost')).toContain('A worker serves ghost: remove it from the folder of models first');
  await consumer.deregister();
  expect(await forget('ghost')).toBe('forgot ghost');
  expect(await used.redis.smembers(registryKeys(DEFAULT_PREFIX).models)).toEqual([]);
  expect(await used.redis.keys('*')).toEqual([]);
});

test('models forget says why it does not remove a model', async () => {
  expect(await forget('never')).toBe("Redis has no model 'never'.");
  const consumer = await announce('ghost');
  await consumer.deregister();
  await used.redis.xadd(`${DEFAULT_PREFIX}:{ghost}:dead`, '*', 'state', 'x');
  expect(await forget('ghost')).toContain('ghost has 1 dead letter (');
  expect(await forget('ghost', '--with-dead-letters')).toBe('forgot ghost');
  await announce('busy').then((busy) => busy.deregister());
  await used.redis.zadd(`${DEFAULT_PREFIX}:{busy}:deadlines`, 1, 'busy.x');
  expect(await forget('busy')).toContain('busy has 1 open prediction:');
});

test.each([
  [['typo'], "unknown command 'typo'"],
  [['list', '--json'], '--json belongs to `inferql models` without a command'],
  [['--url', 'http://127.0.0.1:1', 'forget', 'net'], '--url belongs to `inferql models` without a command'],
])('models %j is refused: %s', async (words, message) => {
  expect(await runModels(...words)).toBe(`error: ${message}`);
});
