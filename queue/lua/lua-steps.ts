/** The atomic steps: loads the *.lua files of this folder and calls them on a model's keys. */
import { createHash } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import type { RedisConnection } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';

const STEP_NAMES = [
  'admit',
  'migrate-retired',
  'register',
  'cancel',
  'delete-dead-letters',
  'expire',
  'feed',
  'forget-model',
  'deregister',
  'read-model',
  'read-queue',
  'read-predictions',
  'extend-leases',
  'resolve-admission',
  'settle',
  'start',
  'withdraw-worker',
] as const;

/** Each step's file under lua/ documents its arguments and what it returns. */
export type StepName = (typeof STEP_NAMES)[number];

/** Scripts that do not belong to a model, and what goes before their bodies. */
const OTHER_SCRIPTS = { 'charge-limits': ['quota-periods'], 'refund-limits': [] } as const;

type OtherScriptName = keyof typeof OTHER_SCRIPTS;

/** Name of the `node:diagnostics_channel` on which each step that has ended is reported, as a {@link RedisStepMessage}. */
export const REDIS_STEP_CHANNEL = 'inferql:redis-step';

export interface RedisStepMessage {
  step: StepName;
  /** From sending it to its answer, or its failure. */
  durationMs: number;
}

const stepEnded = channel(REDIS_STEP_CHANNEL);

/** How many predictions one expiry step ends at most, so that Redis is never blocked for long. */
export const EXPIRE_BATCH_SIZE = 200;

/** What precedes every step, in this order: each part uses what the ones before it define. */
const SHARED_PARTS = [
  'keys-and-channel',
  'tenant-scheduler',
  'waiting-jobs',
  'queue-position',
  'terminal-states',
  'dead-letter-retention',
];

interface Step {
  source: string;
  /** The SHA-1 under which Redis knows the source. */
  sha: string;
}

function readLua(name: string): string {
  return readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');
}

const loaded = new Map<string, Step>();

/** @param sharedParts what goes before the body */
function load(name: string, sharedParts: readonly string[]): Step {
  let step = loaded.get(name);
  if (!step) {
    // Redis takes the flags from the first line only, so shared parts go between it and the rest.
    const [flags, ...body] = readLua(name).split('\n');
    const source = [flags, ...sharedParts.map((part) => readLua(`shared/${part}`)), ...body].join('\n');
    step = { source, sha: createHash('sha1').update(source).digest('hex') };
    loaded.set(name, step);
  }
  return step;
}

async function run(
  redis: RedisConnection,
  { source, sha }: Step,
  keys: string[],
  args: (string | number | Uint8Array)[],
): Promise<unknown> {
  const values = args.map((arg) =>
    arg instanceof Uint8Array && !Buffer.isBuffer(arg) ? Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength) : arg,
  ) as (string | number | Buffer)[];
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...values);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await redis.eval(source, keys.length, ...keys, ...values);
  }
}

/** Runs a script that does not belong to a model, on the given keys, as runStep does. */
export function runScript(
  redis: RedisConnection,
  name: OtherScriptName,
  keys: string[],
  args: (string | number)[],
): Promise<unknown> {
  return run(redis, load(name, OTHER_SCRIPTS[name]), keys, args);
}

/** Every script as Redis gets it, by name. */
export function listScripts(): Map<StepName | OtherScriptName, Readonly<Step>> {
  const others = Object.entries(OTHER_SCRIPTS) as [OtherScriptName, readonly string[]][];
  return new Map([
    ...STEP_NAMES.map((name) => [name, load(name, SHARED_PARTS)] as const),
    ...others.map(([name, sharedParts]) => [name, load(name, sharedParts)] as const),
  ]);
}

/**
 * Runs one step. The script's text is sent only if Redis does not know it (a new or restarted Redis).
 * @throws whatever the connection throws; a step that was sent twice has the effect of one.
 */
export async function runStep(
  redis: RedisConnection,
  name: StepName,
  keys: ModelKeys,
  args: (string | number | Uint8Array)[],
): Promise<unknown> {
  // The order of shared/keys-and-channel.lua.
  const names = [
    keys.prediction,
    keys.job,
    keys.jobPredictions,
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
    keys.open,
    keys.refunds,
    keys.running,
    keys.refused,
  ];
  const step = load(name, SHARED_PARTS);
  if (!stepEnded.hasSubscribers) return await run(redis, step, names, args);
  const startedAtMs = performance.now();
  try {
    return await run(redis, step, names, args);
  } finally {
    stepEnded.publish({ step: name, durationMs: performance.now() - startedAtMs } satisfies RedisStepMessage);
  }
}
