import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { type ProcessCpu, readCpu, subtractCpu } from '../process-usage.ts';
import { readProfile } from '../profile.ts';
import { type Bench, NOOP_MODEL, type Section } from '../scenario.ts';
import { startSystem } from '../system.ts';

/** (d): CPU per prediction without the model's, by process and thread from the kernel's counters, and the server's main thread by a profile. */
export async function measureCpu({ quick, load, images, dir }: Bench): Promise<Section[]> {
  const durationMs = quick ? 6_000 : 15_000;
  const counted = await drive([], durationMs);
  const profileDir = mkdtempSync(join(dir, 'profile-'));
  const profiled = await drive(['--cpu-prof', '--cpu-prof-dir', profileDir], durationMs);
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
  ];

  async function drive(serverArgs: string[], runMs: number) {
    const system = await startSystem({ scripted: [NOOP_MODEL], serverArgs });
    try {
      const plan = { urls: system.urls, request: 'graphql' as const, model: NOOP_MODEL.name, images };
      await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0, durationMs: 2_000 });
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
      const result = await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0, durationMs: runMs });
      const after = read();
      const spent = (name: keyof typeof pids) => subtractCpu(after[name], before[name]);
      return {
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
}
