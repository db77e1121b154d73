/** The atomic steps: loads lua/*.lua and calls them on a model's keys. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ModelKeys } from './keys.ts';
import type { RedisConnection } from './redis.ts';

/** Each step's file under lua/ tells its arguments and what it returns. */
export type StepName =
  | 'admit'
  | 'adopt'
  | 'announce'
  | 'cancel'
  | 'drop-dead'
  | 'expire'
  | 'feed'
  | 'leave'
  | 'queue'
  | 'read'
  | 'renew'
  | 'settle'
  | 'start'
  | 'withdraw';

/** How many predictions one expiry step ends at the most, so that Redis is never held up. */
export const EXPIRE_AT_ONCE = 200;

/** What precedes every step, in this order: each part uses what the ones before it define. */
const SHARED_PARTS = ['prelude', 'scheduler', 'lifecycle'];

interface Step {
  source: string;
  sha: string;
}

function readLua(name: string): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
}

const steps = new Map<StepName, Step>();

function loadStep(name: StepName): Step {
  let step = steps.get(name);
  if (!step) {
    // Redis takes the flags from the first line only, so what all steps share goes between it and the rest.
    const [flags, ...body] = readLua(name).split('\n');
    const source = [flags, ...SHARED_PARTS.map(readLua), ...body].join('\n');
    step = { source, sha: createHash('sha1').update(source).digest('hex') };
    steps.set(name, step);
  }
  return step;
}

/**
 * Runs one step. Redis is sent the script itself only when it does not know it (a new or restarted server).
 * @throws whatever the connection throws; a step that was sent twice has the effect of one.
 */
export async function runStep(
  redis: RedisConnection,
  name: StepName,
  keys: ModelKeys,
  args: (string | number | Uint8Array)[],
): Promise<unknown> {
  const step = loadStep(name);
  // The prelude's order.
  const names = [
    keys.prediction,
    keys.job,
    keys.followers,
    keys.waiting,
    keys.deadlines,
    keys.counters,
    keys.channel,
    keys.dead,
    keys.specs,
    keys.alive,
    keys.workers,
    keys.shared,
    keys.cache,
    keys.idempotency,
    keys.stream,
    keys.fair,
    keys.tenants,
    keys.weights,
  ];
  const values = args.map((arg) =>
    arg instanceof Uint8Array && !Buffer.isBuffer(arg) ? Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength) : arg,
  ) as (string | number | Buffer)[];
  try {
    return await redis.evalsha(step.sha, names.length, ...names, ...values);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await redis.eval(step.source, names.length, ...names, ...values);
  }
}
