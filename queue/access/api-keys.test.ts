import { describe, expect, it } from 'vitest';
import { accessKeys } from '../redis/keys.ts';
import { setUp } from '../test/queue.fixture.ts';
import { isKeyText, KeyStore, looksLikeKey, readKeyId, whyInvalid } from './api-keys.ts';

async function openStore() {
  const { redis, prefix } = await setUp();
  return { redis, keys: accessKeys(prefix), store: new KeyStore(redis, { prefix }) };
}

describe('the text of a key', () => {
  it('contains its id, and one changed, missing or added character is detected without Redis', async () => {
    const { store } = await openStore();
    const { text, record } = await store.create({ tenant: 'alice', scopes: ['read'] });
    expect(text).toMatch(/^iql_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}$/);
    expect(readKeyId(text)).toBe(record.id);
    for (let place = 0; place < text.length; place++) {
      const other = text[place] === 'x' ? 'y' : 'x';
      expect(readKeyId(text.slice(0, place) + other + text.slice(place + 1)), `place ${place}`).toBeUndefined();
      expect(readKeyId(text.slice(0, place) + text.slice(place + 1)), `without ${place}`).toBeUndefined();
    }
    expect(readKeyId(`${text}x`)).toBeUndefined();
    expect(looksLikeKey(text)).toBe(true);
  });

  it('is different each time, and not stored in Redis', async () => {
    const { store, redis, keys } = await openStore();
    const made = await Promise.all(Array.from({ length: 50 }, () => store.create({ tenant: 'a', scopes: ['read'] })));
    expect(new Set(made.map(({ text }) => text)).size).toBe(50);
    const { text, record } = made[0]!;
    const stored = JSON.stringify(await redis.hgetall(`${keys.record}${record.id}`));
    expect(stored).not.toContain(text.split('_')[3]!.slice(0, 20));
    expect(stored).toContain(record.hash);
  });

  it('opens only its record', async () => {
    const { store } = await openStore();
    const [one, two] = [
      await store.create({ tenant: 'a', scopes: ['read'] }),
      await store.create({ tenant: 'a', scopes: ['read'] }),
    ];
    expect(isKeyText(one.record, one.text)).toBe(true);
    expect(isKeyText(one.record, two.text)).toBe(false);
    expect(isKeyText(null, one.text)).toBe(false);
  });
});

describe('keys in Redis', () => {
  it('are read as they were created', async () => {
    const { store } = await openStore();
    const expiresAtMs = Date.now() + 60_000;
    const { record } = await store.create({
      tenant: 'alice',
      scopes: ['infer', 'operate'],
      models: ['tiny', 'resnet50'],
      name: 'the shop',
      environment: 'test',
      expiresAtMs,
      weight: 2.5,
    });
    expect(await store.find(record.id)).toEqual(record);
    expect(record).toMatchObject({
      tenant: 'alice',
      scopes: ['infer', 'operate'],
      models: ['tiny', 'resnet50'],
      name: 'the shop',
      environment: 'test',
      expiresAtMs,
      weight: 2.5,
    });
    expect(await store.find('AAAAAAAA')).toBeNull();
  });

  it('are listed by age with their last use; those that Redis forgot are not listed', async () => {
    const { store, redis, keys } = await openStore();
    const first = await store.create({ tenant: 'a', scopes: ['read'] });
    const second = await store.create({ tenant: 'b', scopes: ['read'] });
    await redis.hset(`${keys.record}${second.record.id}`, 'createdAtMs', first.record.createdAtMs + 1);
    await store.noteUse([second.record.id]);
    const listed = await store.list();
    expect(listed.map(({ id }) => id)).toEqual([first.record.id, second.record.id]);
    expect(listed.map(({ lastUsedAtMs }) => lastUsedAtMs !== undefined)).toEqual([false, true]);
    await redis.del(`${keys.record}${second.record.id}`);
    expect((await store.list()).map(({ id }) => id)).toEqual([first.record.id]);
    expect(await redis.smembers(keys.ids)).toEqual([first.record.id]);
    expect(await redis.exists(keys.lastUsed)).toBe(0);
  });

  it('end when they are revoked, once, and the channel reports it', async () => {
    const { store, redis, keys } = await openStore();
    const { record } = await store.create({ tenant: 'a', scopes: ['read'] });
    expect(await store.revoke('AAAAAAAA')).toBe(false);
    expect(await store.revoke(record.id)).toBe(true);
    const revoked = await store.find(record.id);
    expect(whyInvalid(revoked!, Date.now())).toBe('revoked');
    expect(await store.revoke(record.id)).toBe(true);
    expect((await store.find(record.id))!.revokedAtMs).toBe(revoked!.revokedAtMs);
    // An operator still sees it for a while.
    expect(await redis.pttl(`${keys.record}${record.id}`)).toBeGreaterThan(86_400_000);
  });

  it('are rotated: the new one has the same rights, the old one stays valid for a while', async () => {
    const { store } = await openStore();
    const { record } = await store.create({ tenant: 'a', scopes: ['infer'], models: ['tiny'], weight: 3 });
    const before = Date.now();
    const next = await store.rotate(record.id, 60_000);
    expect(next.record).toMatchObject({
      tenant: 'a',
      scopes: ['infer'],
      models: ['tiny'],
      weight: 3,
      replaces: record.id,
    });
    expect(next.record.expiresAtMs).toBeUndefined();
    const old = await store.find(record.id);
    expect(whyInvalid(old!, before)).toBeUndefined();
    expect(whyInvalid(old!, Date.now() + 60_001)).toBe('expired');
    await store.revoke(record.id);
    await expect(store.rotate(record.id, 0)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('damaged or foreign records are not keys', async () => {
    const { store, redis, keys } = await openStore();
    const { record } = await store.create({ tenant: 'a', scopes: ['read'] });
    for (const [field, value] of [
      ['scopes', 'read root'],
      ['tenant', 'two words'],
      ['hash', 'short'],
      ['expiresAtMs', 'soon'],
    ] as const) {
      const { record: damaged } = await store.create({ tenant: 'a', scopes: ['read'] });
      await redis.hset(`${keys.record}${damaged.id}`, field, value);
      expect(await store.find(damaged.id), field).toBeNull();
    }
    expect((await store.list()).map(({ id }) => id)).toEqual([record.id]);
    // The release that wrote them still lists them.
    expect(await redis.scard(keys.ids)).toBe(5);
  });
});
