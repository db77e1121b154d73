/** A whole system with exactly the rights in Redis that docs/security.md gives to each part. */
import { readFileSync } from 'node:fs';
import { KeyStore } from '@inferql/queue/access/api-keys';
import { createTenantStore } from '@inferql/queue/access/tenant-store';
import { createDeadLetters } from '@inferql/queue/jobs/dead-letter-admin';
import { Registry } from '@inferql/queue/models/registry';
import { beforeEach, expect, test } from 'vitest';
import { bearer } from '../callers.ts';
import { jsonRequest } from '../requests.ts';
import { CLASSIFY, connect, ENQUEUE, paint, startServer, startWorker, testRedis } from '../server-harness.ts';

const page = readFileSync(new URL('../../../docs/security.md', import.meta.url), 'utf8');
const USERS = [...page.matchAll(/^user (inferql-\w+) (.*)$/gm)].map(([, name, rules]) => ({
  name: name!,
  rules: rules!.split(' '),
}));

function urlOf(name: string): string {
  const { rules } = USERS.find((user) => user.name === name)!;
  const password = rules.find((rule) => rule.startsWith('>'))!.slice(1);
  return testRedis().url.replace('//', `//${name}:${password}@`);
}

const PREFIX = 'inferql';
const admin = () => connect('work');
type Classified = { classifyImage: { id: string; status: string; __typename: string } };

beforeEach(async () => {
  const redis = admin();
  await redis.flushall();
  for (const { name, rules } of USERS) await redis.call('ACL', 'SETUSER', name, 'reset', ...rules);
  await redis.call('ACL', 'LOG', 'RESET');
});

/** What was refused, from Redis' ACL log. */
async function refusals(): Promise<string[]> {
  const entries = (await admin().call('ACL', 'LOG')) as unknown[][];
  // CLIENT SETINFO is not needed, and not every Redis supports it.
  return entries
    .map((entry) => `${entry[entry.indexOf('username') + 1]}: ${entry[entry.indexOf('object') + 1]}`)
    .filter((line) => !line.includes('client|setinfo'));
}

test('server, worker and operator do all their work', async () => {
  expect(USERS.map(({ name }) => name)).toEqual(['inferql-server', 'inferql-worker', 'inferql-operator']);
  const server = await startServer({
    prefix: PREFIX,
    redisUrl: urlOf('inferql-server'),
    env: {
      INFERQL_AUTH: 'keys',
      INFERQL_TENANT_LIMITS: '1000images/h,100000ms/month',
      INFERQL_CACHE_TTL_MS: '60000',
      INFERQL_SHARE: 'on',
    },
  });
  const worker = await startWorker(PREFIX, { queue: { maxAttempts: 1 } }, { redisUrl: urlOf('inferql-worker') });
  const redis = connect('request', urlOf('inferql-operator'));
  while (redis.status !== 'ready') await server.components.isReady();
  const store = new KeyStore(redis, { prefix: PREFIX });
  const { text, record } = await store.create({ tenant: 'alice', scopes: ['infer', 'read', 'operate'] });
  const headers = bearer(text);
  const upload = async (query: string, red: number, variables = {}) =>
    (await server.upload<Classified>(query, [await paint(red)], variables, headers)).data.classifyImage;

  expect((await upload(CLASSIFY, 1, { key: 'k' })).status).toBe('SUCCEEDED');
  expect((await upload(CLASSIFY, 1, { key: 'k' })).status).toBe('SUCCEEDED');
  expect((await upload(CLASSIFY, 1)).status).toBe('SUCCEEDED');
  expect((await upload(CLASSIFY, 13)).status).toBe('FAILED');

  worker.claiming.close();
  const { id } = await upload(ENQUEUE, 2);
  await upload(ENQUEUE, 2);
  const events = await server.fetch(
    '/graphql',
    jsonRequest(
      'subscription ($id: ID!) { prediction(id: $id) { status } }',
      { id },
      { ...headers, accept: 'text/event-stream' },
    ),
  );
  const CANCEL = 'mutation ($id: ID!) { cancelPrediction(id: $id) { status } }';
  expect((await server.query(CANCEL, { id }, headers)).data).toEqual({ cancelPrediction: { status: 'CANCELED' } });
  expect(await events.text()).toContain('CANCELED');
  expect(await upload(CLASSIFY, 3, { timeoutMs: 1 })).toMatchObject({ status: 'EXPIRED' });
  worker.claiming.open();

  const LOOK = '{ models { name queue { waiting deadLetters } } viewer { limits { remaining } } }';
  expect((await server.query(LOOK, {}, headers)).errors).toBeUndefined();
  await worker.register();
  const registry = new Registry(connect('work', urlOf('inferql-worker')), { prefix: PREFIX });
  await registry.setDefaultModel('tiny');
  expect(await registry.defaultModel()).toBe('tiny');

  const letters = createDeadLetters(redis, { prefix: PREFIX });
  const [letter] = await letters.list('tiny');
  expect(await letters.retry('tiny', letter!.entryId)).toMatchObject({ kind: 'admitted' });
  while ((await letters.list('tiny')).length === 0);
  expect(await letters.drop('tiny', [(await letters.list('tiny'))[0]!.entryId])).toBe(1);
  const tenants = createTenantStore(redis, { prefix: PREFIX });
  await tenants.set('alice', { limits: '100images/h', weight: 2 });
  expect(await tenants.list()).toHaveLength(1);
  await tenants.reset('alice');
  const next = await store.rotate(record.id, 60_000);
  expect(await store.list()).toHaveLength(2);
  await store.revoke(next.record.id);
  expect((await server.query(LOOK, {}, bearer(next.text))).status).toBe(401);
  expect(await refusals()).toEqual([]);
});

test('none can do more', async () => {
  const KEY = `${PREFIX}:{:access}:key:AAAAAAAA`;
  for (const name of USERS.map((user) => user.name)) {
    const redis = connect('work', urlOf(name));
    for (const command of [
      ['FLUSHALL'],
      ['KEYS', '*'],
      ['CONFIG', 'GET', '*'],
      ['ACL', 'LIST'],
      ['SHUTDOWN'],
      ['MONITOR'],
      ['GET', 'of-another-system'],
      ['SUBSCRIBE', 'of-another-system'],
    ]) {
      await expect(redis.call(...(command as [string])), `${name}: ${command}`).rejects.toThrow(/NOPERM/);
    }
  }
  const [server, worker] = ['inferql-server', 'inferql-worker'].map((name) => connect('work', urlOf(name)));
  await expect(server!.hset(KEY, 'tenant', 'mallory')).rejects.toThrow(/NOPERM/);
  await expect(worker!.hgetall(KEY)).rejects.toThrow(/NOPERM/);
  await expect(worker!.get(`${PREFIX}:limit:{alice}:tenant:requests`)).rejects.toThrow(/NOPERM/);
  expect(await server!.hgetall(KEY)).toEqual({});
});
