/**
 * Good clients at half load, first alone, then together with hostile ones: unread pipelines, slow bodies, expensive images, large documents, floods of
 * subscriptions, malformed requests. Reports the good clients' latency alone and under attack, their wrong and lost answers, and memory over time.
 *
 * npm run bench -- soak --minutes 60 [--alone MINUTES] [--seed 1]
 *
 * The model is scripted: batches of 8 in 100 ms, as ResNet50 takes on a few cores, without their load. Ctrl-C ends early, with the summary.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startRpcChild } from '../child-rpc.ts';
import { createGoodClient, WAYS } from '../good-client.ts';
import { isRunning, sumRssBytes, withDescendants } from '../process-usage.ts';
import { type Spread, spreadOf } from '../stats.ts';
import { startSystem } from '../system.ts';
import type { HostilePlan, HostileResult } from './hostile-clients.ts';

/** Of the model below: 80 images per second. */
const HALF_LOAD_PER_SECOND = 40;
const MODEL = {
  name: 'scripted',
  classCount: 4_096,
  input: { width: 4, height: 4, channels: 3 as const },
  script: { waitMs: 100 },
};
const MAX_RATIO = 3;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '15' },
    alone: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});
const wholeMs = Number(values.minutes) * 60_000;
const aloneMs = values.alone ? Number(values.alone) * 60_000 : Math.min(wholeMs / 5, 300_000);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop.abort());
const log: string[] = [];
const system = await startSystem({
  scripted: [MODEL],
  onLog(line) {
    if (!line.includes('"level":40')) console.log(line.slice(0, 500));
    log.push(line);
  },
});
const url = new URL(system.urls[0]!).origin;
const good = createGoodClient(url);
const { servers, workers, redis } = system.pids;
const isAlive = () => [...servers, ...workers, redis].every(isRunning);

/** Sends images at a fixed rate, whatever the answers do. @returns times from when each was due, in milliseconds */
async function sendSteadily(durationMs: number): Promise<number[]> {
  const startedAt = performance.now();
  const times: number[] = [];
  const open: Promise<void>[] = [];
  for (let turn = 0; ; turn++) {
    const dueAt = startedAt + (turn * 1_000) / HALF_LOAD_PER_SECOND;
    if (dueAt - startedAt > durationMs || stop.signal.aborted || !isAlive()) break;
    const earlyMs = dueAt - performance.now();
    if (earlyMs > 0) await delay(earlyMs);
    const lateMs = performance.now() - dueAt;
    const sent = good.classify(WAYS[turn % WAYS.length]!).then((tookMs) => {
      if (tookMs !== undefined) times.push(tookMs + lateMs);
    });
    open.push(sent);
  }
  await Promise.all(open);
  return times;
}

const megabytes = (pids: readonly number[]) => Math.round(sumRssBytes(pids) / 2 ** 20);
/** Peaks in MB; the servers' decoders are processes that come and go. */
const peaks = { server: 0, decoders: 0, worker: 0, redis: 0 };
const memory = () => {
  const now = {
    server: megabytes(servers),
    decoders: megabytes(withDescendants(servers)) - megabytes(servers),
    worker: megabytes(withDescendants(workers)),
    redis: megabytes([redis]),
  };
  for (const name of ['server', 'decoders', 'worker', 'redis'] as const) peaks[name] = Math.max(peaks[name], now[name]);
  return `server ${now.server} MB, its decoders ${now.decoders} MB, worker ${now.worker} MB, Redis ${now.redis} MB`;
};
const show = ({ p50, p99 }: Spread) => `p50 ${Math.round(p50)} ms, p99 ${Math.round(p99)} ms`;
const state = () =>
  `${good.answered} right, ${good.wrong.length} wrong, ${good.lost.length} lost, refused ${JSON.stringify(good.refused)}`;

console.log(
  `good clients alone: ${HALF_LOAD_PER_SECOND} images per second for ${(aloneMs / 60_000).toFixed(1)} minutes`,
);
// The first answers pay for just-in-time compilation.
await sendSteadily(Math.min(10_000, aloneMs / 3));
const alone = spreadOf(await sendSteadily(aloneMs));
const memoryAlone = memory();
console.log(`  ${show(alone)}; ${state()}; ${memoryAlone}`);

const besideMs = Math.max(0, wholeMs - aloneMs);
console.log(`good clients together with hostile ones for ${(besideMs / 60_000).toFixed(1)} minutes`);
const hostile = startRpcChild<HostilePlan, HostileResult>('soak/hostile-clients.js');
const attacked = hostile.call({ url, durationMs: besideMs, seed: Number(values.seed) });
stop.signal.addEventListener('abort', () => process.kill(hostile.pid, 'SIGTERM'));
const besideTimes: number[] = [];
const startedAt = performance.now();
for (let minute = 1; performance.now() - startedAt < besideMs && !stop.signal.aborted && isAlive(); minute++) {
  const sampling = setInterval(memory, 2_000);
  const times = await sendSteadily(Math.min(60_000, besideMs - (performance.now() - startedAt)));
  clearInterval(sampling);
  besideTimes.push(...times);
  console.log(`  minute ${minute}: ${show(spreadOf(times))}; ${state()}; ${memory()}`);
}
const { attacks, faults } = await attacked.catch((error: Error) => ({ attacks: {}, faults: [error.message] }));
const beside = spreadOf(besideTimes);
const isUp = isAlive();
if (!stop.signal.aborted && isUp) await delay(10_000);
const memoryAfter = memory();
const ratio = beside.p99 / alone.p99;
for (const text of [...good.wrong, ...good.lost, ...faults].slice(0, 50)) console.log(`FAULT ${text}`);
console.log(`
${Object.entries(attacks)
  .map(([name, count]) => `${String(count).padStart(8)} ${name}`)
  .join('\n')}

alone:  ${show(alone)}
beside: ${show(beside)}: p99 is ${ratio.toFixed(2)} times that alone (goal: under ${MAX_RATIO})
good clients: ${state()}
memory alone: ${memoryAlone}
memory after: ${memoryAfter}
peaks: server ${peaks.server} MB, its decoders ${peaks.decoders} MB, worker ${peaks.worker} MB, Redis ${peaks.redis} MB
processes: ${isUp ? 'all lived' : 'one has ended'}; faults of hostile answers: ${faults.length}; lines in the logs: ${log.length}`);
await good.close();
await hostile.close();
await system.stop();
const isMet = isUp && ratio < MAX_RATIO && good.wrong.length + good.lost.length + faults.length === 0;
process.exit(isMet ? 0 : 1);
