import { setTimeout as delay } from 'node:timers/promises';
import { DEFAULT_PREFIX, modelKeys } from '@inferql/queue/redis/keys';
import { pauseEngines } from '@inferql/testing/launcher/launcher';
import type { Child } from '@inferql/testing/processes/child-process';
import { type RedisProxy, startRedisProxy } from '@inferql/testing/redis/redis-proxy';
import { startTestRedis, type TestRedis, type TestRedisOptions } from '@inferql/testing/redis/redis-server';
import { withKeyStore } from '@inferql/testing/system/key-store';
import { type SystemOptions, scriptedModel, startSystem, type TestSystem } from '@inferql/testing/system/system';
import { Redis } from 'ioredis';
import { afterEach, expect, vi } from 'vitest';
import { type Ledger, startLedger } from '../ledger/client.ts';
import type { Verdict } from '../ledger/protocol.ts';
import { removeRow, writeRow } from './faults-table.ts';
import { type Load, type LoadOptions, startLoad } from './load-generator.ts';

/** How many predictions are in flight, at least, when a fault happens. */
export const IN_FLIGHT = 200;
/** One client in eight waits with its mutation and gets no id before the end. */
const CLIENTS = 310;
/** How many more are queued before the work begins. */
const SPARE = 40;
/** How many more predictions must end after a fault, to show that work continues. */
const AFTERWARDS = 60;
/** The model's lease: short, so that a fault and its consequences take seconds. */
const VISIBILITY_MS = 2_000;
/** Redis does not report which worker has begun a job. Without a pause, reading it would take a core from the system. */
const READ_AGAIN_MS = 20;

export interface Stage {
  system: TestSystem;
  redis: TestRedis;
  load: Load;
  ledger: Ledger;
  /** The proxy between the servers and Redis, if the scenario requested one. */
  serverProxy: RedisProxy;
  /** The proxy between the workers and Redis, if the scenario requested one. */
  workerProxy: RedisProxy;
}

export interface Scenario {
  /** The fault in a few words, as the table shows it. */
  fault: string;
  redis?: TestRedisOptions;
  system?: SystemOptions;
  /** Tenants, each with a key, whose clients know nothing of each other. @default none: no keys are required */
  tenants?: string[];
  load?: Partial<LoadOptions>;
  /** @default false */
  proxies?: boolean;
  /** Causes the fault. When it resolves, everything that must run again has been started. */
  act(stage: Stage): Promise<void>;
}

/** Two workers with batches of 8 in 200 ms: 80 predictions per second, about what two cores can send, follow and answer. */
export function busyModel(script: object = {}, queue: object = {}): object {
  return scriptedModel({
    script: { waitMs: 200, ...script },
    queue: { visibilityMs: VISIBILITY_MS, graceMs: 120_000, ...queue },
  });
}

// Half a minute on two idle cores; more if other tests share them.
vi.setConfig({ testTimeout: 600_000 });

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function prepare(scenario: Scenario): Promise<Omit<Stage, 'load'> & { keys: string[] }> {
  const redis = await startTestRedis(scenario.redis);
  cleanups.push(() => redis.stop());
  const serverProxy = await startRedisProxy(redis.port);
  const workerProxy = await startRedisProxy(redis.port);
  cleanups.push(
    () => serverProxy.stop(),
    () => workerProxy.stop(),
  );
  const ledger = await startLedger();
  cleanups.push(ledger.end);
  const redisUrl = (role: 'server' | 'worker') => (role === 'server' ? serverProxy : workerProxy).url;
  const system = await startSystem({
    servers: 2,
    // The one that announces the model; the second one starts when the work begins.
    workers: 1,
    models: [busyModel()],
    redis,
    ...(scenario.proxies ? { redisUrl } : {}),
    ...scenario.system,
    ...(scenario.tenants ? { env: { ...scenario.system?.env, INFERQL_AUTH: 'keys' } } : {}),
  });
  cleanups.push(() => system.end());
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
 * Starts a separate system, loads it, causes the fault while at least 200 predictions are in flight, waits until work continues,
 * lets every client finish, and compares the ledger's verdict with what is promised.
 */
export async function runScenario(scenario: Scenario): Promise<{ verdict: Verdict; load: Load; system: TestSystem }> {
  await removeRow(scenario.fault);
  const stage = await prepare(scenario);
  const { system, ledger, keys } = stage;
  const urls = system.servers.map(({ url }) => url);
  await system.workers[0]!.stop();
  const load = startLoad({ urls, ledger, keys, clients: CLIENTS, ...scenario.load });
  try {
    // The queue fills while no worker runs, however slow the machine is, and the fault comes early while it drains.
    await load.until(() => load.inFlight() >= IN_FLIGHT + SPARE);
    await Promise.all([system.workers[0]!.restart(), system.addWorker()]);
    await load.more(SPARE / 2);
    // Clients whose prediction has ended send the next one.
    await load.until(() => load.inFlight() >= IN_FLIGHT);
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

/**
 * Stops a worker in the middle of a batch, so that a fault now hits it there, however late it comes.
 * @returns the keys of the jobs that it has begun
 */
export async function stopInBatch(redis: TestRedis, worker: Child, model = 'scripted'): Promise<string[]> {
  return withRedis(redis, async (client) => {
    const readBegun = async () => {
      const jobs = await client.keys(`${modelKeys(DEFAULT_PREFIX, model).job}*`);
      const workers = await Promise.all(jobs.map((job) => client.hget(job, 'worker')));
      return jobs.filter((_, i) => workers[i] && isOf(worker, workers[i]));
    };
    for (;;) {
      // The batch that has begun does not end before the worker is stopped.
      const resumeEngines = pauseEngines(worker);
      try {
        while ((await readBegun()).length === 0) await delay(READ_AGAIN_MS);
        worker.pause();
        const begun = await readBegun();
        if (begun.length > 0) return begun;
        // What it had begun ended as the signal came.
        worker.resume();
      } finally {
        resumeEngines();
      }
    }
  });
}

/** Resolves when another worker has begun one of the jobs that a stopped one held, or all have ended without it. */
export async function untilReclaimed(redis: TestRedis, stopped: Child, jobs: string[]): Promise<void> {
  await withRedis(redis, async (client) => {
    for (;;) {
      const workers = await Promise.all(jobs.map((job) => client.hget(job, 'worker')));
      const open = workers.filter((worker) => worker !== null);
      if (open.length === 0 || open.some((worker) => !isOf(stopped, worker))) return;
      await delay(READ_AGAIN_MS);
    }
  });
}

/**
 * Resolves when no open job has been begun this often. A job that three faults hit in a row would end FAILED, as promised;
 * a scenario with more faults than a job has attempts waits before the last one.
 */
export async function untilNoneBegan(redis: TestRedis, times: number, model: string): Promise<void> {
  await withRedis(redis, async (client) => {
    for (;;) {
      const jobs = await client.keys(`${modelKeys(DEFAULT_PREFIX, model).job}*`);
      const attempts = await Promise.all(jobs.map((job) => client.hget(job, 'attempts')));
      if (!attempts.some((attempt) => Number(attempt) >= times)) return;
      await delay(READ_AGAIN_MS);
    }
  });
}

/** Whether a worker's name in Redis is that of a process. */
const isOf = (worker: Child, name: string) => name.includes(`-${worker.pid}-`);

async function withRedis<T>({ url }: TestRedis, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

/** Enough ids of each kind to investigate, without printing all of them. */
function sample({ lost, contradictory, missed, wrong }: Verdict) {
  const few = (ids: string[]) => (ids.length > 3 ? [...ids.slice(0, 3), `and ${ids.length - 3} more`] : ids);
  return { lost: few(lost), contradictory: few(contradictory), missed: few(missed), wrong: few(wrong) };
}
