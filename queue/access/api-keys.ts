/**
 * API keys: their text, and how Redis keeps them. The command creates and revokes them, the server looks them up. Redis holds a
 * SHA-256 of the text and never the text: 256 random bits need no slow hash.
 */
import { createHash, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ChainableCommander } from 'ioredis';
import * as z from 'zod';
import { ModelName, TenantName, Weight } from '../contract.ts';
import { InferqlError } from '../error-codes.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis } from '../redis/errors.ts';
import { accessKeys } from '../redis/keys.ts';
import { parseLimits } from './limit-rules.ts';
import { Scope } from './scopes.ts';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 8;
/** 62^43 > 2^256. */
const SECRET_LENGTH = 43;
const CHECKSUM_LENGTH = 6;

const TEXT = new RegExp(
  `^(iql|iqt)_([a-z0-9]{1,12})_([0-9A-Za-z]{${ID_LENGTH}})_[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`,
);

/** A name for where keys are valid, such as `live` or `test`; part of their text. */
export const KeyEnvironment = z.string().regex(/^[a-z0-9]{1,12}$/, 'expected 1 to 12 of a-z and 0-9');

const words = <T extends z.ZodType<string, string>>(word: T) =>
  z
    .string()
    .transform((text) => text.split(' ').filter(Boolean))
    .pipe(z.array(word));

/** A key as Redis keeps it: a hash whose fields are all text. Times are Unix milliseconds of the machine that wrote them. */
const KeyFields = z.object({
  /** SHA-256 of the whole text, base64url. */
  hash: z.string().length(43),
  environment: KeyEnvironment,
  tenant: TenantName,
  scopes: words(Scope),
  /** The models that it may use; absent: all. */
  models: words(ModelName).optional(),
  /** What people call it. */
  name: z.string().max(200).default(''),
  createdAtMs: z.coerce.number(),
  expiresAtMs: z.coerce.number().optional(),
  revokedAtMs: z.coerce.number().optional(),
  weight: z.coerce.number().pipe(Weight).default(1),
  /** What the key may take, in addition to its tenant's limits: see limit-rules.ts. */
  limits: z
    .string()
    .refine((text) => parseLimits(text, 'key'))
    .default(''),
  /** The key that made this browser token; absent in API keys. */
  parent: z.string().optional(),
  /** The key that this one replaces. */
  replaces: z.string().optional(),
});

export interface KeyRecord extends z.infer<typeof KeyFields> {
  id: string;
}

export interface NewKey {
  tenant: string;
  scopes: readonly Scope[];
  /** @default all models */
  models?: readonly string[] | undefined;
  name?: string | undefined;
  /** @default live */
  environment?: string | undefined;
  /** In Unix milliseconds. @default never */
  expiresAtMs?: number | undefined;
  /** The tenant's share of the work. @default 1 */
  weight?: number | undefined;
  /** As limit-rules.ts reads it. @default none */
  limits?: string | undefined;
}

/** `text` is given once, here: it cannot be read again. */
export interface CreatedKey {
  text: string;
  record: KeyRecord;
}

/** Revoked and expired keys are listed for this long, so that an operator sees what became of them. */
const REMEMBERED_MS = 30 * 86_400_000;

function randomText(length: number): string {
  return Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

function checksumOf(text: string): string {
  let rest = crc32(text);
  let checksum = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    checksum = ALPHABET[rest % 62] + checksum;
    rest = Math.floor(rest / 62);
  }
  return checksum;
}

function makeText(kind: 'iql' | 'iqt', environment: string): { id: string; text: string } {
  const id = randomText(ID_LENGTH);
  const body = `${kind}_${environment}_${id}_${randomText(SECRET_LENGTH)}`;
  return { id, text: `${body}${checksumOf(body)}` };
}

/** Whether the text has the form of an InferQL key or token; does not say whether such a key exists. */
export function looksLikeKey(text: string): boolean {
  return /^iq[lt]_/.test(text);
}

/** The id in a key's text, or undefined if the checksum shows that the text is mistyped or truncated. Does not ask Redis. */
export function readKeyId(text: string): string | undefined {
  const id = TEXT.exec(text)?.[3];
  return id !== undefined && checksumOf(text.slice(0, -CHECKSUM_LENGTH)) === text.slice(-CHECKSUM_LENGTH)
    ? id
    : undefined;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Compares in constant time; an unknown key (null) takes as long as a wrong one. */
export function isKeyText(record: KeyRecord | null, text: string): boolean {
  const wanted = record ? Buffer.from(record.hash, 'base64url') : Buffer.alloc(32);
  return timingSafeEqual(wanted, digest(text)) && record !== null;
}

/** @returns why the key is no longer valid, or undefined if it is */
export function whyInvalid(record: KeyRecord, nowMs: number): 'revoked' | 'expired' | undefined {
  if (record.revokedAtMs !== undefined) return 'revoked';
  return record.expiresAtMs !== undefined && record.expiresAtMs <= nowMs ? 'expired' : undefined;
}

/** Creates, reads and ends keys. Every call rejects with InferqlError UNAVAILABLE while Redis cannot serve it. */
export class KeyStore {
  readonly #redis: RedisConnection;
  readonly #keys: ReturnType<typeof accessKeys>;

  constructor(redis: RedisConnection, { prefix }: { prefix: string }) {
    this.#redis = redis;
    this.#keys = accessKeys(prefix);
  }

  create(key: NewKey): Promise<CreatedKey> {
    return this.#create(key);
  }

  /**
   * A short-lived token that acts for a key, and ends with it.
   * @param grant.models undefined: those of the key
   */
  createToken(
    parent: Pick<KeyRecord, 'id' | 'environment' | 'tenant' | 'weight'>,
    grant: { scopes: readonly Scope[]; models?: readonly string[] | undefined; expiresAtMs: number },
  ): Promise<CreatedKey> {
    return this.#write('iqt', {
      environment: parent.environment,
      tenant: parent.tenant,
      weight: parent.weight,
      // Those of its key.
      limits: '',
      scopes: [...grant.scopes],
      ...(grant.models ? { models: [...grant.models] } : {}),
      name: '',
      createdAtMs: Date.now(),
      expiresAtMs: grant.expiresAtMs,
      parent: parent.id,
    });
  }

  /** The record of an API key or a token, whether it is valid or not; null if there is none. */
  async find(id: string): Promise<KeyRecord | null> {
    const fields = await callRedis(() => this.#redis.hgetall(this.#recordOf(id)));
    const parsed = KeyFields.safeParse(fields);
    return parsed.success ? { id, ...parsed.data } : null;
  }

  /** All API keys, the oldest first, with the time of their last use in Unix milliseconds. */
  async list(): Promise<(KeyRecord & { lastUsedAtMs: number | undefined })[]> {
    const { ids: allIds, lastUsed: lastUses } = this.#keys;
    const [ids, lastUsed] = await callRedis(() =>
      Promise.all([this.#redis.smembers(allIds), this.#redis.hgetall(lastUses)]),
    );
    const records = await Promise.all(ids.map((id) => this.find(id)));
    // A record that this release cannot read is another one's.
    const unread = ids.filter((_id, i) => !records[i]);
    const exist = await callRedis(() => Promise.all(unread.map((id) => this.#redis.exists(this.#recordOf(id)))));
    const forgotten = unread.filter((_id, i) => exist[i] === 0);
    if (forgotten.length > 0) {
      await callRedis(() =>
        Promise.all([this.#redis.srem(allIds, ...forgotten), this.#redis.hdel(lastUses, ...forgotten)]),
      );
    }
    return records
      .filter((record) => record !== null)
      .map((record) => ({ ...record, lastUsedAtMs: lastUsed[record.id] ? Number(lastUsed[record.id]) : undefined }))
      .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  /** Notes that keys were used now. */
  async noteUse(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const now = String(Date.now());
    await callRedis(() => this.#redis.hset(this.#keys.lastUsed, ...ids.flatMap((id) => [id, now])));
  }

  /**
   * Makes a key with the same rights. The old one stays valid for `graceMs` more, so that no request fails meanwhile.
   * @throws InferqlError NOT_FOUND if there is no such key, or it is no longer valid
   */
  async rotate(id: string, graceMs: number): Promise<CreatedKey> {
    const old = await this.find(id);
    const now = Date.now();
    if (!old || old.parent !== undefined || whyInvalid(old, now)) {
      throw new InferqlError('NOT_FOUND', { message: 'No valid API key has that id.' });
    }
    const created = await this.#create(old, id);
    const expiresAtMs = Math.min(old.expiresAtMs ?? Number.POSITIVE_INFINITY, now + graceMs);
    await execAll(
      this.#redis
        .multi()
        .hset(this.#recordOf(id), 'expiresAtMs', String(expiresAtMs))
        .pexpireat(this.#recordOf(id), expiresAtMs + REMEMBERED_MS)
        .publish(this.#keys.changed, id),
    );
    return created;
  }

  /** Ends a key and its tokens at once, on every server. @returns false if there is no such key */
  async revoke(id: string): Promise<boolean> {
    if (!(await this.find(id))) return false;
    const now = Date.now();
    await execAll(
      this.#redis
        .multi()
        .hsetnx(this.#recordOf(id), 'revokedAtMs', String(now))
        .pexpireat(this.#recordOf(id), now + REMEMBERED_MS)
        .publish(this.#keys.changed, id),
    );
    return true;
  }

  #create(key: NewKey, replaces?: string): Promise<CreatedKey> {
    return this.#write('iql', {
      environment: key.environment ?? 'live',
      tenant: key.tenant,
      scopes: [...key.scopes],
      ...(key.models ? { models: [...key.models] } : {}),
      name: key.name ?? '',
      createdAtMs: Date.now(),
      ...(key.expiresAtMs === undefined ? {} : { expiresAtMs: key.expiresAtMs }),
      weight: key.weight ?? 1,
      limits: key.limits ?? '',
      ...(replaces === undefined ? {} : { replaces }),
    });
  }

  async #write(kind: 'iql' | 'iqt', fields: Omit<KeyRecord, 'id' | 'hash'>): Promise<CreatedKey> {
    const { id, text } = makeText(kind, fields.environment);
    const record: KeyRecord = { id, hash: digest(text).toString('base64url'), ...fields };
    const { id: _id, scopes, models, ...rest } = record;
    const flat = Object.entries({ ...rest, scopes: scopes.join(' '), models: models?.join(' ') }).flatMap(
      ([name, value]) => (value === undefined ? [] : [name, String(value)]),
    );
    const steps = this.#redis.multi().hset(this.#recordOf(id), ...flat);
    if (kind === 'iql') steps.sadd(this.#keys.ids, id);
    if (record.expiresAtMs !== undefined) {
      steps.pexpireat(this.#recordOf(id), record.expiresAtMs + (kind === 'iql' ? REMEMBERED_MS : 0));
    }
    // A server that was asked for this id before remembers that there was none.
    steps.publish(this.#keys.changed, id);
    await execAll(steps);
    return { text, record };
  }

  #recordOf(id: string): string {
    return `${this.#keys.record}${id}`;
  }
}

/** Runs a transaction. It reports the errors of its commands in its reply. */
async function execAll(steps: ChainableCommander): Promise<void> {
  await callRedis(async () => {
    for (const [error] of (await steps.exec()) ?? []) if (error) throw error;
  });
}
