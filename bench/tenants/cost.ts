/** The cost of fair shares with one tenant: the same requests over HTTP to a model with them and to one without. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findImages } from '../benchmark-images.ts';
import { startRpcChild } from '../child-rpc.ts';
import type { LoadPlan, LoadResult } from '../load/plan.ts';
import { readTreeCpuMs } from '../process-usage.ts';
import { NOOP_MODEL, type Section } from '../scenario.ts';
import { makeSmallImages } from '../scenarios/scale.ts';
import { median, medianInterval } from '../stats.ts';
import { startSystem } from '../system.ts';

const NAMES = ['fair', 'fifo'] as const;
type Name = (typeof NAMES)[number];

/** Each side's first and last round are as far from the block's middle, so that a steady drift of the machine cancels. */
const ORDERS: readonly (readonly Name[])[] = [
  ['fair', 'fifo', 'fifo', 'fair'],
  ['fifo', 'fair', 'fair', 'fifo'],
];
const CLIENTS = 64;
const WARMUP_MS = 250;
const ROUND_MS = 900;
const GOAL = 0.98;

interface Block {
  /** Answers per second. */
  rate: Record<Name, number>;
  /** CPU of Redis, and of everything but the load generator, in milliseconds per request. */
  redisMs: Record<Name, number>;
  systemMs: Record<Name, number>;
}

/** Measures in short rounds that alternate; the figure is the median of the blocks' ratios. */
export async function measureCost({ quick, print }: { quick: boolean; print(line: string): void }): Promise<Section> {
  const dir = mkdtempSync(join(tmpdir(), 'inferql-bench-'));
  const load = startRpcChild<LoadPlan, LoadResult>('load/main.js');
  const system = await startSystem({
    scripted: NAMES.map((name) => ({ ...NOOP_MODEL, name, queue: { fairShares: name === 'fair' } })),
  });
  const { redis, servers, workers } = system.pids;
  try {
    const images = await makeSmallImages({ images: findImages(''), dir });
    const callFor = (model: Name, warmupMs: number, durationMs: number) =>
      load.call({
        urls: system.urls,
        request: 'graphql',
        model,
        images,
        load: { clients: CLIENTS },
        warmupMs,
        durationMs,
      });
    async function measureRound(name: Name) {
      const before = { redis: readTreeCpuMs([redis]), system: readTreeCpuMs([redis, ...servers, ...workers]) };
      const { answeredPerSecond: rate } = await callFor(name, WARMUP_MS, ROUND_MS);
      const requests = (rate * (WARMUP_MS + ROUND_MS)) / 1_000;
      return {
        rate,
        redisMs: (readTreeCpuMs([redis]) - before.redis) / requests,
        systemMs: (readTreeCpuMs([redis, ...servers, ...workers]) - before.system) / requests,
      };
    }
    async function measureBlock(order: readonly Name[]): Promise<Block> {
      const sums = { rate: { fair: 0, fifo: 0 }, redisMs: { fair: 0, fifo: 0 }, systemMs: { fair: 0, fifo: 0 } };
      for (const name of order) {
        const round = await measureRound(name);
        for (const figure of ['rate', 'redisMs', 'systemMs'] as const) sums[figure][name] += round[figure] / 2;
      }
      return sums;
    }

    for (const name of [...NAMES, ...NAMES]) await callFor(name, 0, 2_000);
    const blocks: Block[] = [];
    const count = quick ? 16 : 45;
    for (let attempt = 0; attempt < count; attempt++) {
      const block = await measureBlock(ORDERS[attempt % 2]!);
      // Too few answers for a rate: other work had the machine.
      if (!Number.isFinite(block.rate.fair / block.rate.fifo)) {
        print(`block ${attempt + 1} left out: too few answers`);
        continue;
      }
      blocks.push(block);
      const { fair, fifo } = block.rate;
      print(
        `block ${attempt + 1}: fair ${fair.toFixed(0)}/s, first come first served ${fifo.toFixed(0)}/s, ratio ${(fair / fifo).toFixed(3)}`,
      );
    }
    return reportCost(blocks);
  } finally {
    await load.close();
    await system.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

function reportCost(blocks: readonly Block[]): Section {
  const of = (figure: keyof Block, name: Name) => median(blocks.map((block) => block[figure][name]));
  const ratios = blocks.map(({ rate }) => rate.fair / rate.fifo);
  const cpuRatios = blocks.map(({ systemMs }) => systemMs.fifo / systemMs.fair);
  const [ratio, [low, high]] = [median(ratios), medianInterval(ratios)];
  const [cpuLow, cpuHigh] = medianInterval(cpuRatios);
  const range = (from: number, to: number) => `${from.toFixed(3)} to ${to.toFixed(3)}`;
  return {
    title: 'The cost of fair shares with one tenant',
    how: `${CLIENTS} clients of one tenant, constant answers, an input of 224x224. ${blocks.length} blocks of four rounds of ${ROUND_MS} ms, in the orders ABBA and BAAB; a ratio per block, then their median with its 95% interval.`,
    columns: ['queue', 'requests/s', "Redis' CPU ms per request", "the whole system's"],
    rows: [
      ...NAMES.map((name) => [
        name === 'fair' ? 'fair shares' : 'first come, first served',
        of('rate', name).toFixed(0),
        of('redisMs', name).toFixed(3),
        of('systemMs', name).toFixed(3),
      ]),
      [
        'ratio (95%)',
        `${ratio.toFixed(3)} (${range(low, high)})`,
        '',
        `${median(cpuRatios).toFixed(3)} (${range(cpuLow, cpuHigh)})`,
      ],
    ],
    data: { blocks },
    goals: [
      {
        goal: `throughput >= ${GOAL} of first come, first served`,
        figure: `${ratio.toFixed(3)}${high - low > 2 * (1 - GOAL) ? ', which this run is too noisy to show' : ''}`,
        met: ratio >= GOAL,
      },
    ],
  };
}
