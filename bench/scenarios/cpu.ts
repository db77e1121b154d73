import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ProcessCpu, readCpu, subtractCpu } from '../process-usage.ts';
import { readProfile } from '../profile.ts';
import { type Bench, NOOP_MODEL, type Section } from '../scenario.ts';
import { startSystem } from '../system.ts';
import { warmUpServers } from '../warm-up.ts';

/** After a load V8 collects garbage for half a minute, to return memory. */
const SETTLE_MS = 45_000;
const IDLE_MS = 20_000;

/** CPU per prediction without the model's, by process and thread from the kernel's counters, and the server's main thread by a profile; then CPU while nobody asks. */
export async function measureCpu(bench: Bench): Promise<Section[]> {
  const durationMs = bench.quick ? 6_000 : 15_000;
  const { idle, ...counted } = await measureRun(bench, [], durationMs, true);
  const profileDir = mkdtempSync(join(bench.dir, 'profile-'));
  const profiled = await measureRun(bench, ['--cpu-prof', '--cpu-prof-dir', profileDir], durationMs);
  const { parts, top } = readProfile(profileDir);
  const each = (ms: number) => (ms / counted.answered).toFixed(2);
  const sharesTotal = Object.values(parts).reduce((total, ms) => total + ms, 0);
  const mainMs = counted.server.mainThreadMs / counted.answered;
  const rows: [string, string][] = [
    ['server: decoding and other threads', each(counted.server.totalMs - counted.server.mainThreadMs)],
    ...Object.entries(parts)
      .sort(([, a], [, b]) => b - a)
      .map(([part, ms]): [string, string] => [
        `server, main thread: ${part}`,
        ((mainMs * ms) / sharesTotal).toFixed(2),
      ]),
    ['worker', each(counted.worker.totalMs)],
    ["worker's engine process, constant answers", each(counted.engine.totalMs)],
    ['Redis', each(counted.redis.totalMs)],
    ['load generator', each(counted.clientMs)],
  ];
  return [
    {
      title: 'CPU per prediction',
      how: `Milliseconds of CPU per prediction with constant answers, 32 clients, from the kernel's counters (${counted.answered} predictions). The server's main thread is split by a profile of a second run (${profiled.answered} predictions, including the start).`,
      columns: ['where', 'ms'],
      rows,
      data: { counted, profiled, parts, top },
    },
    describeIdle(idle!),
  ];
}

/** The CPU of each process under a load of 32 clients, and afterwards. */
async function measureRun({ load, images }: Bench, serverArgs: string[], durationMs: number, withIdle = false) {
  const system = await startSystem({ scripted: [NOOP_MODEL], serverArgs });
  try {
    const plan = { urls: system.urls, request: 'graphql' as const, model: NOOP_MODEL.name, images };
    await warmUpServers(system, load, images);
    const pids = {
      server: system.pids.servers[0]!,
      worker: system.pids.workers[0]!,
      engine: system.pids.engines()[0]!,
      redis: system.pids.redis,
    };
    const read = () =>
      Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, readCpu(pid)])) as Record<
        keyof typeof pids,
        ProcessCpu
      >;
    const before = read();
    // Everything sent counts, from the first request to the last answer.
    const result = await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0, durationMs });
    const after = read();
    const spent = (name: keyof typeof pids) => subtractCpu(after[name], before[name]);
    const idle = withIdle ? await measureIdle(read) : undefined;
    return {
      idle,
      answered: result.answered,
      clientMs: result.cpuMs,
      server: spent('server'),
      worker: spent('worker'),
      engine: spent('engine'),
      redis: spent('redis'),
    };
  } finally {
    await system.stop();
  }
}

/** CPU of each process while nobody asks, in milliseconds per second. */
async function measureIdle<Name extends string>(read: () => Record<Name, ProcessCpu>): Promise<Record<Name, number>> {
  await delay(SETTLE_MS);
  const before = read();
  await delay(IDLE_MS);
  const after = read();
  const rate = (name: Name) => ((after[name].totalMs - before[name].totalMs) * 1_000) / IDLE_MS;
  return Object.fromEntries((Object.keys(before) as Name[]).map((name) => [name, rate(name)])) as Record<Name, number>;
}

function describeIdle(idle: Record<string, number>): Section {
  const total = Object.values(idle).reduce((sum, ms) => sum + ms, 0);
  return {
    title: 'Idle CPU',
    how: `Milliseconds of CPU per second without requests, ${SETTLE_MS / 1_000} s after the load, over ${IDLE_MS / 1_000} s.`,
    columns: ['process', 'ms per second'],
    rows: [...Object.entries(idle), ['all', total] as const].map(([name, ms]) => [name, ms.toFixed(1)]),
    data: idle,
    goals: [{ goal: 'all processes, idle < 10 ms per second', figure: `${total.toFixed(1)} ms`, met: total < 10 }],
  };
}
