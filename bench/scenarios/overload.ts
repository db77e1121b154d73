import { readMemory } from '../process-usage.ts';
import type { Bench, Section } from '../scenario.ts';
import { percentile } from '../stats.ts';
import { type System, startSystem } from '../system.ts';
import { makeSmallImages, WAITING_MODEL } from './scale.ts';

const WORKERS = 2;
const QUEUE_SIZE = 100;

/** Ten times what the workers can do, with engines that wait, so that the queue is tested, not the arithmetic. */
export async function measureOverload(bench: Bench): Promise<Section[]> {
  const { quick, load } = bench;
  const images = await makeSmallImages(bench);
  const durationMs = quick ? 8_000 : 30_000;
  const model = { ...WAITING_MODEL, queue: { maxQueueSize: QUEUE_SIZE } };
  const system = await startSystem({ workers: WORKERS, scripted: [model] });
  try {
    const plan = {
      urls: system.urls,
      request: 'graphql' as const,
      model: model.name,
      images,
      warmupMs: 4_000,
      durationMs,
    };
    const unloaded = await load.call({ ...plan, load: { clients: WORKERS * 4 } });
    const memoryBefore = totalMemory(system);
    const ratePerSecond = unloaded.answeredPerSecond * 10;
    const loaded = await load.call({ ...plan, load: { ratePerSecond } });
    const memoryAfter = totalMemory(system);
    const share = loaded.answeredPerSecond / unloaded.answeredPerSecond;
    const refused = loaded.refusals.QUEUE_FULL ?? [];
    const others = Object.entries(loaded.refusals).filter(([name]) => name !== 'QUEUE_FULL');
    const refusalP99 = percentile(refused, 0.99);
    return [
      {
        title: 'Overload',
        how: `${WORKERS} workers whose engines wait 50 ms per image, a queue of ${QUEUE_SIZE}; requests at fixed times, at ten times the rate of the workers.`,
        columns: [
          'load',
          'answered/s',
          'QUEUE_FULL',
          'refusal p50 ms',
          'refusal p99 ms',
          'other failures',
          'memory MB',
        ],
        rows: [
          ['closed, 8 clients', unloaded.answeredPerSecond.toFixed(1), 0, '', '', 0, (memoryBefore / 1e6).toFixed(0)],
          [
            `open, ${ratePerSecond.toFixed(0)}/s`,
            loaded.answeredPerSecond.toFixed(1),
            refused.length,
            percentile(refused, 0.5).toFixed(1),
            refusalP99.toFixed(1),
            JSON.stringify(Object.fromEntries(others.map(([name, { length }]) => [name, length]))),
            (memoryAfter / 1e6).toFixed(0),
          ],
        ],
        data: {
          unloaded: unloaded.answeredPerSecond,
          loaded: loaded.answeredPerSecond,
          refused,
          memoryBefore,
          memoryAfter,
        },
        goals: [
          { goal: 'answered/s within 5% of the unloaded maximum', figure: share.toFixed(3), met: share >= 0.95 },
          { goal: 'refusals p99 < 50 ms', figure: `${refusalP99.toFixed(1)} ms`, met: refusalP99 < 50 },
        ],
      },
    ];
  } finally {
    await system.stop();
  }
}

function totalMemory({ pids }: System): number {
  const all = [pids.redis, ...pids.servers, ...pids.workers, ...pids.engines()];
  return all.reduce((total, pid) => total + readMemory(pid).pssBytes, 0);
}
