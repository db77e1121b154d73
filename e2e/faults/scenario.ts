import { DEFAULT_PREFIX, modelKeys } from '@inferql/queue/keys';
import type { Child } from '@inferql/testing/child-process';
import { withKeyStore } from '@inferql/testing/key-store';
import { type RedisProxy, startRedisProxy } from '@inferql/testing/redis-proxy';
import { startTestRedis, type TestRedis, type TestRedisOptions } from '@inferql/testing/redis-server';
import { type SystemOptions, scriptedModel, startSystem, type TestSystem } from '@inferql/testing/system';
import { Redis } from 'ioredis';
import { afterEach, expect, vi } from 'vitest';
import { type Ledger, startLedger } from '../ledger/client.ts';
import type { Verdict } from '../ledger/protocol.ts';
import { type Load, type LoadOptions, startLoad } from './load-generator.ts';
import { removeRow, writeRow } from './table.ts';

/** How many predictions are in flight, at least, at the moment of each fault. */
export const IN_FLIGHT = 200;
/** Of them one in eight waits with its mutation and knows of no id until the end. */
const CLIENTS = 310;
/** How many more stand in the queue before the work begins. */
const SPARE = 40;
/** How many more predictions must end after a fault, to show that work goes on. */
const AFTERWARDS = 60;
/** Of the model: short, so that a fault and what follows take seconds. */
export const VISIBILITY_MS = 2_000;

export interface Stage {
  system: TestSystem;
  redis: TestRedis;
  load: Load;
  ledger: Ledger;
  /** Stands between the servers and Redis, where the scenario asked for one. */
  serverProxy: RedisProxy;
  /** Stands between the workers and Redis, where the scenario asked for one. */
  workerProxy: RedisProxy;
}

export interface Scenario {
  /** The fault in a few words, as the table shows it. */
  fault: string;
  redis?: TestRedisOptions;
  system?: SystemOptions;
  /** Tenants with a key each, whose clients know nothing of each other. @default none: nobody is asked for a key */
  tenants?: string[];
  load?: Partial<LoadOptions>;
  /** @default false */
  proxies?: boolean;
  /** Does the mischief; at its end everything that is to live again must have been started. */
  act(stage: Stage): Promise<void>;
}

/** Of two workers, batches of 8 in 400 ms: 40 predictions a second, which leaves 310 clients with a queue, and cores to spare. */
export function busyModel(script: object = {}, queue: object = {}): object {
  return scriptedModel({
    script: { waitMs: 400, ...script },
    queue: { visibilityMs: VISIBILITY_MS, graceMs: 120_000, ...queue },
  });
}

// Half a minute on two idle cores; more where other tests share them.
vi.setConfig({ testTimeout: 300_000 });

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function prepare(scenario: Scenario): Promise<Omit<Stage, 'load'> & { keys: string[] }> {
  const redis = await startTestRedis(scenario.redis);
  cleanups.push(() => redis.stop());
  const serverProxy = await startRedisProxy(redis.port);
  const workerProxy = await startRedisProxy(redis.port);
  cleanups.push(serverProxy.stop, workerProxy.stop);
  const ledger = await startLedger();
  cleanups.push(ledger.end);
  const redisUrl = (role: 'server' | 'worker') => (role === 'server' ? serverProxy : workerProxy).url;
  const system = await startSystem({
    servers: 2,
    workers: 2,
    models: [busyModel()],
    redis,
    ...(scenario.proxies ? { redisUrl } : {}),
    ...scenario.system,
    ...(scenario.tenants ? { env: { ...scenario.system?.env, INFERQL_AUTH: 'keys' } } : {}),
  });
  cleanups.push(system.end);
  const keys = await makeKeys(redis, scenario.tenants ?? []);
  return { system, redis, ledger, serverProxy, workerProxy, keys };
}

async function makeKeys({ url }: TestRedis, tenants: string[]): Promise<string[]> {
  if (tenants.length === 0) return [];
  return withKeyStore(url, async (store) => {
    const created = tenants.map((tenant) => store.create({ tenant, scopes: ['infer', 'read'] }));
    return (await Promise.all(created)).map(({ text }) => text);
  });
}

/**
 * Starts a system of its own, loads it, does the mischief while at least 200 predictions are in flight, waits until work goes on,
 * lets every client come to its end, and holds the ledger's verdict against the promise.
 */
export async function runScenario(scenario: Scenario): Promise<{ verdict: Verdict; load: Load; system: TestSystem }> {
  await removeRow(scenario.fault);
  const stage = await prepare(scenario);
  const { system, ledger, keys } = stage;
  const urls = system.servers.map(({ url }) => url);
  await Promise.all(system.workers.map((worker) => worker.stop()));
  const load = startLoad({ urls, ledger, keys, clients: CLIENTS, ...scenario.load });
  try {
    // The queue fills while nobody works, however slow the machine is, and the fault comes early in its drain.
    await load.until(() => load.inFlight() >= IN_FLIGHT + SPARE);
    await Promise.all(system.workers.map((worker) => worker.restart()));
    await load.more(SPARE / 2);
    const inFlight = load.inFlight();
    expect(inFlight).toBeGreaterThanOrEqual(IN_FLIGHT);
    await scenario.act({ ...stage, load });
    await load.more(AFTERWARDS);
    await load.finish();
    const verdict = await ledger.judge(
      system.servers.map(({ url }) => url),
      { keys },
    );
    expect(sample(verdict)).toEqual({ lost: [], contradictory: [], missed: [], wrong: [] });
    expect(verdict.answered).toBeGreaterThanOrEqual(IN_FLIGHT + AFTERWARDS);
    await system.stop();
    await writeRow({ fault: scenario.fault, inFlight, verdict });
    return { verdict, load, system };
  } catch (error) {
    const logs = [...system.servers, ...system.workers].map(
      (child) => `--- ${child.name}\n${child.output().slice(-2_000)}`,
    );
    throw new Error(`${scenario.fault}: ${(error as Error).message}\n${logs.join('\n')}`, { cause: error });
  }
}

/** Resolves when a worker has just begun a batch: what happens to it now happens in the midst of that one. */
export async function untilBatchBegins(redis: TestRedis, worker: Child, model = 'scripted'): Promise<void> {
  const client = new Redis(redis.url);
  const readBegun = async () => {
    const jobs = await client.keys(`${modelKeys(DEFAULT_PREFIX, model).job}*`);
    const workers = await Promise.all(jobs.map((job) => client.hget(job, 'worker')));
    return jobs.filter((_, i) => workers[i]?.includes(`-${worker.pid}-`));
  };
  const before = new Set(await readBegun());
  while ((await readBegun()).every((job) => before.has(job)));
  client.disconnect();
}

/** Enough of each to look into, and no pages of ids. */
function sample({ lost, contradictory, missed, wrong }: Verdict) {
  const few = (ids: string[]) => (ids.length > 3 ? [...ids.slice(0, 3), `and ${ids.length - 3} more`] : ids);
  return { lost: few(lost), contradictory: few(contradictory), missed: few(missed), wrong: few(wrong) };
}
