import { describe, expect, it } from 'vitest';
import { accessKeys } from '../redis/keys.ts';
import { connect, setUp } from '../test/queue.fixture.ts';
import { createTenantStore, readChangedTenant } from './tenant-store.ts';

async function start() {
  const { redis, prefix } = await setUp();
  return { redis, prefix, store: createTenantStore(redis, { prefix }), keys: accessKeys(prefix) };
}

describe('settings of a tenant', () => {
  it('are kept, changed in part, listed by name and forgotten', async () => {
    const { store } = await start();
    expect(await store.find('acme')).toBeNull();
    await store.set('acme', { limits: '5images/s' });
    await store.set('acme', { weight: 2.5 });
    await store.set('aard/vark', { limits: '' });
    expect(await store.find('acme')).toEqual({ limits: '5images/s', weight: 2.5 });
    expect(await store.list()).toEqual([
      { tenant: 'aard/vark', limits: '' },
      { tenant: 'acme', limits: '5images/s', weight: 2.5 },
    ]);
    expect([await store.reset('acme'), await store.reset('acme')]).toEqual([true, false]);
    expect((await store.list()).map(({ tenant }) => tenant)).toEqual(['aard/vark']);
  });

  it('are refused if they are wrong, and wrong ones in Redis are ignored', async () => {
    const { store, redis, keys } = await start();
    await expect(store.set('acme', { weight: 0 })).rejects.toThrow();
    await expect(store.set('acme', { limits: 'lots' })).rejects.toThrow();
    await expect(store.set('two words', { weight: 1 })).rejects.toThrow();
    await redis.hset(`${keys.tenant}acme`, 'weight', 'NaN');
    expect(await store.find('acme')).toBeNull();
  });

  it('are announced to every server, under a name that no key has', async () => {
    const { store, keys } = await start();
    const subscriber = connect('subscriber');
    const heard: string[] = [];
    subscriber.on('message', (_channel, message: string) => heard.push(message));
    await subscriber.subscribe(keys.changed);
    await store.set('acme', { weight: 2 });
    await store.reset('acme');
    await expect.poll(() => heard.map(readChangedTenant)).toEqual(['acme', 'acme']);
    expect(readChangedTenant('AbCd1234')).toBeUndefined();
  });
});
