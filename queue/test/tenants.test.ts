import { describe, expect, it } from 'vitest';
import { ANONYMOUS_CALLER, type Caller } from '../contract.ts';
import { createDeadLetters } from '../jobs/dead-letter-admin.ts';
import { failure, setUp, success } from './queue.fixture.ts';

const alice: Caller = { tenant: 'alice', keyId: 'a1', weight: 1 };
const bob: Caller = { tenant: 'bob', keyId: 'b1', weight: 1 };

describe('a prediction belongs to its tenant', () => {
  it('others can neither read nor cancel it, and see the same as for an unknown id', async () => {
    const { admit, producer } = await setUp();
    const { id, tenant } = await admit(1, { caller: alice });
    expect(tenant).toBe('alice');
    for (const unknown of [id, 'tiny.AAAAAAAAAAAAAAAAAAAAAA', 'nonsense']) {
      expect(await producer.readFor('bob', unknown)).toBeNull();
      expect(await producer.cancelFor('bob', unknown)).toBeNull();
    }
    expect(await producer.readFor('alice', id)).toMatchObject({ state: { id, status: 'QUEUED', tenant: 'alice' } });
    expect(await producer.read(id)).toMatchObject({ state: { id } });
    expect(await producer.cancelFor('alice', id)).toMatchObject({ status: 'CANCELED' });
  });

  it('an unknown id costs Redis the same commands as one of another tenant', async () => {
    const { admit, producer, redis } = await setUp();
    const { id } = await admit(1, { caller: alice });
    async function countCommands(step: () => Promise<unknown>): Promise<string[]> {
      await redis.config('RESETSTAT');
      await step();
      const lines = (await redis.info('commandstats')).matchAll(/^cmdstat_([\w|]+):calls=(\d+)/gm);
      return [...lines].map(([, name, calls]) => `${name} ${calls}`).sort();
    }
    for (const step of ['readFor', 'cancelFor'] as const) {
      const ask = (tenant: string, asked: string) => producer[step](tenant, asked);
      await ask('bob', id);
      const others = await countCommands(() => ask('bob', id));
      expect(others).toEqual(await countCommands(() => ask('bob', 'tiny.AAAAAAAAAAAAAAAAAAAAAA')));
      expect(others).toContain('hmget 1');
    }
  });

  it('what was queued before there were tenants belongs to the anonymous tenant', async () => {
    const { admit, producer, consumer, redis, keys } = await setUp();
    const { id } = await admit(1);
    await redis.hdel(`${keys.prediction}${id}`, 'tenant');
    await redis.hdel(`${keys.job}${id}`, 'tenant');
    expect((await producer.readFor('anonymous', id))!.state.tenant).toBe('anonymous');
    expect(await producer.readFor('bob', id)).toBeNull();
    const started = await consumer.start(await consumer.claim(1));
    expect(await consumer.settle(started.map(success))).toEqual(['settled']);
  });

  it('what a release without counts per tenant ends is not counted forever', async () => {
    const { admit, registry, consumer, redis, keys } = await setUp();
    await admit(1, { caller: alice });
    await admit(2, { caller: bob });
    await redis.hset(keys.running, 'carol', 3);
    const started = await consumer.start(await consumer.claim(8));
    await consumer.settle(started.slice(0, 1).map(success));
    expect((await registry.queueState('tiny'))!.running).toEqual(
      new Map([
        ['carol', 3],
        ['bob', 1],
      ]),
    );
    await consumer.settle(started.slice(1).map(success));
    expect((await registry.queueState('tiny'))!.running).toEqual(new Map());
  });

  it('a worker sees whose work it claims', async () => {
    const { admit, consumer } = await setUp();
    await admit(1, { caller: alice });
    await admit(2);
    expect((await consumer.claim(8)).map(({ tenant }) => tenant)).toEqual(['alice', 'anonymous']);
  });

  it('an operator’s retry of a dead letter belongs to the tenant, and is not blocked by the tenant’s keys', async () => {
    const { admit, consumer, producer, redis, keys, prefix, request } = await setUp({ maxAttempts: 1 });
    const { id } = await admit(1, { caller: alice });
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(failure));
    const letters = createDeadLetters(redis, { prefix });
    const [letter] = await letters.list('tiny');
    expect(letter).toMatchObject({ tenant: 'alice', predictions: [id] });
    await producer.admit(request(9, { caller: { ...alice, weight: 3 }, idempotencyKey: `dead ${letter!.entryId}` }));
    const outcome = await letters.retry('tiny', letter!.entryId);
    expect(outcome).toMatchObject({ kind: 'admitted', state: { tenant: 'alice', retryOf: id } });
    expect(await redis.hget(keys.weights, 'alice')).toBe('3');
  });
});

describe('idempotency keys, shared work and the cache', () => {
  it('are separate per tenant, whichever of its keys is used', async () => {
    const { admit, consumer, producer } = await setUp();
    const first = await admit(1, { caller: alice, idempotencyKey: 'k', cacheTtlMs: 60_000 });
    const sameTenant = { ...alice, keyId: 'a2' };
    expect((await admit(1, { caller: sameTenant, idempotencyKey: 'k', cacheTtlMs: 60_000 })).id).toBe(first.id);
    expect(await producer.isKeyUsed('tiny', 'alice', 'k')).toBe(true);
    expect(await producer.isKeyUsed('tiny', 'bob', 'k')).toBe(false);
    const other = await admit(1, { caller: bob, idempotencyKey: 'k', cacheTtlMs: 60_000 });
    expect([other.id === first.id, other.jobId === first.jobId, other.cached]).toEqual([false, false, false]);
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(success));
    expect(await admit(1, { caller: sameTenant, cacheTtlMs: 60_000 })).toMatchObject({ cached: true });
    await producer.cancel(other.id);
    expect(await admit(1, { caller: bob, cacheTtlMs: 60_000 })).toMatchObject({ status: 'QUEUED', cached: false });
  });

  it('work and cache can be shared across tenants, keys never', async () => {
    const { admit, consumer } = await setUp();
    const open = { shareAcrossTenants: true, cacheTtlMs: 60_000, idempotencyKey: 'k' };
    const first = await admit(1, { ...open, caller: alice });
    await consumer.start(await consumer.claim(1));
    const second = await admit(1, { ...open, caller: bob });
    expect([second.id === first.id, second.jobId, second.tenant]).toEqual([false, first.id, 'bob']);
    expect((await admit(1, { caller: ANONYMOUS_CALLER })).jobId).not.toBe(first.id);
  });
});
