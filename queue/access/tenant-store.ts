/** What an operator has set for single tenants: limits and weight. The command writes, the server reads. */
import * as z from 'zod';
import { TenantName, Weight } from '../contract.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis } from '../redis/errors.ts';
import { accessKeys } from '../redis/keys.ts';
import { parseLimits } from './limit-rules.ts';

const SettingsFields = z.object({
  /** Instead of the server's limits for tenants; '' is none. Absent: those of the server. */
  limits: z
    .string()
    .refine((text) => parseLimits(text, 'tenant'))
    .optional(),
  /** Instead of the weight of its keys. Absent: that of the key. */
  weight: z.coerce.number().pipe(Weight).optional(),
});

export type TenantSettings = z.infer<typeof SettingsFields>;
export type TenantStore = ReturnType<typeof createTenantStore>;

/** The message by which servers learn that a tenant's settings have changed; ids of keys contain no space. */
const CHANGED = 'tenant ';

/** @returns the tenant whose settings changed, or undefined if the message is about a key */
export function readChangedTenant(message: string): string | undefined {
  return message.startsWith(CHANGED) ? message.slice(CHANGED.length) : undefined;
}

/** Every call rejects with InferqlError UNAVAILABLE while Redis cannot serve it. */
export function createTenantStore(redis: RedisConnection, { prefix }: { prefix: string }) {
  const keys = accessKeys(prefix);

  /** A transaction reports the errors of its commands in its reply. */
  async function run(exec: () => Promise<[Error | null, unknown][] | null>): Promise<void> {
    await callRedis(async () => {
      for (const [error] of (await exec()) ?? []) if (error) throw error;
    });
  }

  async function find(tenant: string): Promise<TenantSettings | null> {
    const fields = await callRedis(() => redis.hgetall(`${keys.tenant}${tenant}`));
    const parsed = SettingsFields.safeParse(fields);
    return parsed.success && Object.keys(parsed.data).length > 0 ? parsed.data : null;
  }

  return {
    /** Null if nothing is set, or what is set cannot be read. */
    find,

    /** Sets what is given and keeps the rest; servers use it at once. */
    async set(tenant: string, settings: TenantSettings): Promise<void> {
      const given = Object.entries(SettingsFields.parse(settings)).flatMap(([name, value]) =>
        value === undefined ? [] : [name, String(value)],
      );
      const name = TenantName.parse(tenant);
      await run(() =>
        redis
          .multi()
          .hset(`${keys.tenant}${name}`, ...given)
          .sadd(keys.tenants, name)
          .publish(keys.changed, `${CHANGED}${name}`)
          .exec(),
      );
    },

    /** The server's settings apply again. @returns false if nothing was set */
    async reset(tenant: string): Promise<boolean> {
      const isSet = (await callRedis(() => redis.exists(`${keys.tenant}${tenant}`))) === 1;
      await run(() =>
        redis
          .multi()
          .del(`${keys.tenant}${tenant}`)
          .srem(keys.tenants, tenant)
          .publish(keys.changed, `${CHANGED}${tenant}`)
          .exec(),
      );
      return isSet;
    },

    /** All tenants for which something is set, by name. */
    async list(): Promise<(TenantSettings & { tenant: string })[]> {
      const names = (await callRedis(() => redis.smembers(keys.tenants))).sort();
      const found = await Promise.all(names.map(find));
      return names.flatMap((tenant, i) => (found[i] ? [{ tenant, ...found[i] }] : []));
    },
  };
}
