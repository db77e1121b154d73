/** What fair shares cost Redis, as counts of commands: times depend on the machine. */
import { expect, it } from 'vitest';
import { by } from './fairness.fixture.ts';
import { setUp, success } from './queue.fixture.ts';

/** Commands that Redis runs, those inside scripts included, without those by which a connection introduces itself. */
async function countCommands(redis: Awaited<ReturnType<typeof setUp>>['redis'], work: () => Promise<unknown>) {
  await redis.config('RESETSTAT');
  await work();
  const stats = await redis.info('commandstats');
  const calls = [...stats.matchAll(/^cmdstat_(?!config|info|client|hello)[\w|]+:calls=(\d+)/gm)];
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Commands per image, for an image that comes when nothing waits. */
async function costAlone(fairShares: boolean): Promise<number> {
  const { admit, consumer, redis } = await setUp({ fairShares });
  const serve = async () => {
    await admit(1, { share: false, caller: by('a') });
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(success));
  };
  await serve();
  return countCommands(redis, serve);
}

/** Commands to serve eight images while each of so many tenants has a backlog. */
async function costOfBatch(tenants: number): Promise<number> {
  const { admit, consumer, redis } = await setUp({ maxQueueSize: 10_000, maxQueuedBytes: 1e9 });
  for (let i = 0; i < Math.max(tenants, 40); i++) await admit(1, { share: false, caller: by(`t${i % tenants}`) });
  return countCommands(redis, async () => {
    await consumer.settle((await consumer.start(await consumer.claim(8))).map(success));
  });
}

/** Commands to admit one image behind such backlogs. */
async function costOfAdmission(tenants: number): Promise<number> {
  const { admit, redis } = await setUp({ maxQueueSize: 10_000, maxQueuedBytes: 1e9 });
  for (let i = 0; i < Math.max(tenants, 40); i++) await admit(1, { share: false, caller: by(`t${i % tenants}`) });
  return countCommands(redis, () => admit(1, { share: false, caller: by('t0') }));
}

it('an image that finds no backlog costs Redis an eighth more commands than without fair shares', async () => {
  const [fair, plain] = [await costAlone(true), await costAlone(false)];
  expect(fair).toBeGreaterThan(plain);
  expect(fair).toBeLessThanOrEqual(plain * 1.15);
});

it('a batch costs the same for 200 tenants with a backlog as for 2, except for the keys of tenants that come and go', async () => {
  const [few, many] = [await costOfBatch(2), await costOfBatch(200)];
  expect(many).toBeLessThanOrEqual(few + 8 * 8);
});

it('an admission costs the same however many tenants have a backlog', async () => {
  const [two, many] = [await costOfAdmission(2), await costOfAdmission(200)];
  expect(many).toBe(two);
});
