/** The rights of the Redis user, and what the server reports if one is missing. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { atEnd, CLASSIFY, paint, startServer, startWorker } from '../server-harness.ts';

type Server = Awaited<ReturnType<typeof startServer>>;

/** Changes the default user's rights for this test. */
async function restrict({ redis }: Server, ...rules: string[]): Promise<void> {
  await redis.call('ACL', 'SETUSER', 'default', ...rules, '+acl');
  atEnd(async () => {
    await redis.call('ACL', 'SETUSER', 'default', 'resetkeys', 'allkeys', 'allchannels', '+@all');
  });
}

test('the documented rights are enough', async () => {
  const server = await startServer();
  const { prefix } = server;
  const rules = ['resetkeys', `~${prefix}:*`, 'resetchannels', `&${prefix}:*`, '-@admin', '-@dangerous', '+info'];
  await restrict(server, ...rules);
  await startWorker(prefix);
  const { data } = await server.upload<{ classifyImage: object }>(CLASSIFY, [await paint(200)]);
  expect(data.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
  expect((await server.fetch('/health/ready')).status).toBe(200);
});

test.each(['-@scripting', 'resetkeys'])('without a right for the queue (%s) it is not ready', async (rule) => {
  const server = await startServer();
  expect((await server.fetch('/health/ready')).status).toBe(200);
  await restrict(server, rule);
  expect((await server.fetch('/health/ready')).status).toBe(503);
});

test.each(['-@scripting', '-xadd', 'resetkeys', 'resetchannels'])(
  'without a right (%s) an upload is answered with 503, not with a fault of the server',
  async (rule) => {
    const server = await startServer();
    await startWorker(server.prefix);
    await restrict(server, rule);
    const { status, errors } = await server.upload(CLASSIFY, [await paint(200)]);
    expect({ status, code: errors?.[0]?.extensions?.code }).toEqual({ status: 503, code: 'UNAVAILABLE' });
  },
);

test('without the right for its channel it is not ready until it has it again', async () => {
  const server = await startServer();
  const status = async () => {
    await nextTurn();
    return (await server.fetch('/health/ready')).status;
  };
  expect(await status()).toBe(200);
  await restrict(server, 'resetchannels');
  // Redis ends the subscription, and the server learns of it a moment later.
  while ((await status()) === 200);
  for (let i = 0; i < 20; i++) expect(await status()).toBe(503);
  await restrict(server, 'allchannels');
  while ((await status()) !== 200);
});
