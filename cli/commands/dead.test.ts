import { Consumer } from '@inferql/queue/jobs/consumer';
import type * as Admin from '@inferql/queue/jobs/dead-letter-admin';
import { DEFAULT_PREFIX } from '@inferql/queue/redis/keys';
import { makeServedModel } from '@inferql/testing/data/served-model';
import { Command } from 'commander';
import { beforeEach, expect, test, vi } from 'vitest';
import type { CommandContext } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { addDead } from './dead.ts';
import { useRedis } from './redis.fixture.ts';

const DEAD = `${DEFAULT_PREFIX}:{net}:dead`;
const LETTERS = 600;

const steps = vi.hoisted(() => ({ onPage: () => {} }));

/** The real ones, which report each page that they have listed or dropped. */
vi.mock('@inferql/queue/jobs/dead-letter-admin', async (load) => {
  const { createDeadLetters } = await load<typeof Admin>();
  return {
    createDeadLetters(...given: Parameters<typeof createDeadLetters>) {
      const letters = createDeadLetters(...given);
      const report = <Result>(page: Result) => {
        steps.onPage();
        return page;
      };
      return {
        ...letters,
        list: (...args: Parameters<typeof letters.list>) => letters.list(...args).then(report),
        drop: (...args: Parameters<typeof letters.drop>) => letters.drop(...args).then(report),
      };
    },
  };
});

const used = useRedis();

beforeEach(async () => {
  const model = makeServedModel('net', { classCount: 2 });
  const consumer = new Consumer({
    ...{
      redis: used.redis,
      blockingRedis: used.blockingRedis,
      prefix: DEFAULT_PREFIX,
      worker: 'worker',
      labels: ['a', 'b'],
      model,
    },
  });
  await consumer.register({ worker: 'worker', version: 'aaaaaaaaaaaa', engine: 'scripted', startedAtMs: 0 });
  const written = used.redis.pipeline();
  for (let i = 0; i < LETTERS; i++) written.xadd(DEAD, `1-${i + 1}`, 'state', 'x');
  await written.exec();
});

/** Runs `inferql dead`, which is interrupted after a number of pages, or after its first line. */
async function interrupt(args: string[], { pages }: { pages?: number }) {
  const controller = new AbortController();
  const reason = new CommandFailure(EXIT.interrupted, 'Interrupted.');
  const printed: string[] = [];
  let seen = 0;
  steps.onPage = () => {
    if (++seen === pages) controller.abort(reason);
  };
  const print = (line: string) => {
    printed.push(line);
    if (pages === undefined) controller.abort(reason);
  };
  const program = new Command().exitOverride();
  addDead(program, { env: {}, signal: controller.signal, screen: { print } } as unknown as CommandContext);
  const running = program.parseAsync(['dead', ...args, '--redis', used.server.url], { from: 'user' });
  await expect(running).rejects.toBe(reason);
  process.exitCode = undefined;
  return { printed, left: await used.redis.xlen(DEAD) };
}

test('an interrupted `dead retry` ends after the entry that it was at', async () => {
  const { printed } = await interrupt(['retry', '--all'], {});
  expect(printed).toEqual([expect.stringMatching(/^1-1 {2}INVALID_INPUT/)]);
});

test('an interrupted `dead drop` ends after a page, and prints how many it has dropped', async () => {
  expect(await interrupt(['drop', '--all'], { pages: 1 })).toEqual({ printed: [], left: LETTERS });
  // Three pages of the list come first: the last one is empty.
  expect(await interrupt(['drop', '--all'], { pages: 4 })).toEqual({ printed: ['500 dropped'], left: 100 });
});

test('an interrupted `dead list` ends after a page', async () => {
  expect(await interrupt(['list', '--json'], { pages: 1 })).toMatchObject({ left: LETTERS });
});
