/** Records of another release or program in Redis affect nothing else. */
import { modelKeys, registryKeys } from '@inferql/queue/redis/keys';
import { describe, expect, test } from 'vitest';
import { CLASSIFY, ENQUEUE, MODEL, paint, startServer, startWorker } from './server-harness.ts';

const spec = (changes: object) =>
  JSON.stringify({ engine: 'x', engineReason: 'y', ...changes, name: 'newer', version: 'bbbbbbbbbbbb' });

type Server = Awaited<ReturnType<typeof startServer>>;

/** Announces a model as a worker of another release does. */
async function announceForeign({ redis, prefix }: Server, name: string, text: string): Promise<void> {
  await redis.sadd(registryKeys(prefix).models, name);
  await redis.hset(modelKeys(prefix, name).specs, { current: 'bbbbbbbbbbbb', bbbbbbbbbbbb: text });
}

async function expectAllElseToWork(server: Server): Promise<void> {
  const uploaded = await server.upload<{ classifyImage: object }>(CLASSIFY, [await paint(200)]);
  expect(uploaded.data.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
  const { data, errors } = await server.query('{ models { name } queue(model: "tiny") { waiting workers { id } } }');
  expect(errors).toBeUndefined();
  expect(data).toMatchObject({ models: [{ name: 'tiny' }], queue: { workers: [{}] } });
}

describe('a model', () => {
  test.each([
    ['of a newer release', spec({ precision: 'float16' })],
    [
      'with a rule for pixels that this release does not know',
      spec({ ...MODEL, input: { ...MODEL.input, mirror: true } }),
    ],
    ['whose specification is not JSON', '{'],
  ])('%s is left out, its uploads are UNAVAILABLE, and the others work', async (_name, text) => {
    const server = await startServer();
    await startWorker(server.prefix);
    await announceForeign(server, 'newer', text);
    await expectAllElseToWork(server);
    const { status, errors } = await server.upload(CLASSIFY, [await paint(1)], { model: 'newer' });
    expect(status).toBe(503);
    expect(errors![0]!.extensions!.code).toBe('UNAVAILABLE');
    expect(server.components.unreadable()).toEqual(['model newer']);
    const ready = await server.fetch('/health/ready');
    expect(ready.status).toBe(200);
    expect(await ready.text()).toMatch(/^ready\n1 records in Redis cannot be read/);
  });

  test('that is the default is not replaced by another one', async () => {
    const server = await startServer();
    await announceForeign(server, 'newer', '{');
    await server.redis.set(registryKeys(server.prefix).default, 'newer');
    await startWorker(server.prefix);
    const { status, errors } = await server.upload(CLASSIFY, [await paint(1)]);
    expect(status).toBe(503);
    expect(errors![0]!.message).toBe(
      'This server cannot read the specification of that model: it was registered by another release.',
    );
    const named = await server.upload<{ classifyImage: object }>(CLASSIFY, [await paint(1)], { model: 'tiny' });
    expect(named.data.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
    const listed = await server.query('{ models { name isDefault } model(name: "tiny") { isDefault } }');
    expect(listed.errors).toBeUndefined();
    expect(listed.data).toEqual({ models: [{ name: 'tiny', isDefault: false }], model: { isDefault: false } });
  });

  test('whose keys are of another type is left out', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    await server.redis.sadd(registryKeys(server.prefix).models, 'odd', 'no {name}');
    const keys = modelKeys(server.prefix, 'odd');
    await server.redis.set(keys.specs, 'text');
    await server.redis.set(keys.counters, 'text');
    await expectAllElseToWork(server);
  });
});

test('a worker record of another release is left out of its queue', async () => {
  const server = await startServer();
  await startWorker(server.prefix);
  const { alive, workers } = modelKeys(server.prefix, 'tiny');
  await server.redis.zadd(alive, '+inf', 'cccccccccccc newer', '+inf', 'what?');
  await server.redis.hset(workers, 'newer', '{"version":7}');
  await expectAllElseToWork(server);
  expect(server.components.unreadable()).toEqual(['a worker of model tiny']);
});

test('a prediction in a state of another release is UNAVAILABLE here, and no other one is affected', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, {}, { idle: true });
  const ids = [];
  for (const red of [1, 2]) {
    const { data } = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(red)]);
    ids.push(data.classifyImage.id);
  }
  const key = `${modelKeys(server.prefix, 'tiny').prediction}${ids[0]}`;
  expect(await server.redis.hset(key, 'status', 'PONDERING')).toBe(0);
  const broken = await server.query('query ($id: ID!) { prediction(id: $id) { status } }', { id: ids[0] });
  expect(broken.errors![0]!.extensions!.code).toBe('UNAVAILABLE');
  const whole = await server.query('query ($id: ID!) { prediction(id: $id) { status } }', { id: ids[1] });
  expect(whole.data).toEqual({ prediction: { status: 'QUEUED' } });
  worker.claiming.open();
});
