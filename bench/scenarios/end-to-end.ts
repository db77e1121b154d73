import type { LoadPlan, LoadResult } from '../load/plan.ts';
import { readMemory } from '../process-usage.ts';
import type { Bench, Section } from '../scenario.ts';
import { median, type Spread, spreadOf } from '../stats.ts';
import { type System, startSystem } from '../system.ts';
import { warmUpServers } from '../warm-up.ts';

interface Round {
  clients: number;
  perSecond: number;
  /** The bare engine just before and after, at batch 8 and at batch 1. */
  baselinePerSecond: number;
  rawOneMs: number;
  latencyMs: Spread;
  refused: Record<string, number>;
}

/** What the bare engine did, each time between two measurements of the system. */
interface BaselineSamples {
  /** Images per second. */
  one: number[];
  oneMs: number[];
  eight: number[];
}

const ROUNDS = 3;

/**
 * The closed loop, the open loop and memory: the real model end to end, interleaved with the bare engine, on one system.
 */
export async function measureEndToEnd(bench: Bench): Promise<Section[]> {
  const { load, images, model } = bench;
  const system = await startSystem({ models: [model.name] });
  try {
    const plan = { urls: system.urls, request: 'graphql' as const, model: model.name, images };
    await warmUpServers(system, load, images);
    // The worker and its engine, too.
    await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0, durationMs: 10_000 });
    const { rounds, baseline } = await measureRounds(bench, plan);
    const summaries = bench.clients.map((clients) => summarize(clients, rounds));
    const many = summaries.find(({ clients }) => clients === 32);
    const openLoop = many && (await measureOpenLoop(bench, system, many.perSecond));
    const memory = await measureMemory(bench, system);
    return [
      describeBaseline(bench, baseline),
      describeClients(bench, rounds, summaries, baseline),
      ...(openLoop ? [openLoop] : []),
      memory,
    ];
  } finally {
    await system.stop();
  }
}

type RoundPlan = Pick<LoadPlan, 'urls' | 'request' | 'model' | 'images'>;

/** Each count of clients once per round, between two runs of the bare engine. */
async function measureRounds(
  { quick, clients: clientCounts, load, baseline, print }: Bench,
  plan: RoundPlan,
): Promise<{ rounds: Round[]; baseline: BaselineSamples }> {
  const durationMs = quick ? 8_000 : 20_000;
  const rawMs = quick ? 2_500 : 6_000;
  const rounds: Round[] = [];
  const samples: BaselineSamples = { one: [], oneMs: [], eight: [] };
  const measureBaseline = async () => {
    const eight = await baseline.call({ type: 'run', batch: 8, durationMs: rawMs });
    const one = await baseline.call({ type: 'run', batch: 1, durationMs: rawMs });
    samples.eight.push(eight.imagesPerSecond);
    samples.one.push(one.imagesPerSecond);
    const oneMs = median(one.runsMs);
    samples.oneMs.push(oneMs);
    return { perSecond: eight.imagesPerSecond, oneMs };
  };
  const meanOf = (a: number, b: number) => (a + b) / 2;
  for (let i = 0; i < ROUNDS; i++) {
    for (const clients of clientCounts) {
      const before = await measureBaseline();
      const result = await load.call({ ...plan, load: { clients }, warmupMs: 2_000 + clients * 50, durationMs });
      const after = await measureBaseline();
      const round: Round = {
        clients,
        perSecond: result.answeredPerSecond,
        baselinePerSecond: meanOf(before.perSecond, after.perSecond),
        rawOneMs: meanOf(before.oneMs, after.oneMs),
        latencyMs: spreadOf(result.latenciesMs),
        refused: countRefusals(result),
      };
      rounds.push(round);
      print(
        `${clients} clients: ${round.perSecond.toFixed(1)}/s, raw ${round.baselinePerSecond.toFixed(1)}/s; p50 ${round.latencyMs.p50.toFixed(1)} ms, raw ${round.rawOneMs.toFixed(1)} ms`,
      );
    }
  }
  return { rounds, baseline: samples };
}

type Summary = ReturnType<typeof summarize>;

/** Medians over the rounds of one count of clients. */
function summarize(clients: number, rounds: readonly Round[]) {
  const own = rounds.filter((round) => round.clients === clients);
  const of = (pick: (round: Round) => number) => median(own.map(pick));
  return {
    clients,
    perSecond: of((round) => round.perSecond),
    share: of((round) => round.perSecond / round.baselinePerSecond),
    p50: of((round) => round.latencyMs.p50),
    overRawOneMs: of((round) => round.latencyMs.p50 - round.rawOneMs),
    p95: of((round) => round.latencyMs.p95),
    p99: of((round) => round.latencyMs.p99),
    tail: of((round) => round.latencyMs.p99 / round.latencyMs.p50),
    refused: own.flatMap((round) => Object.entries(round.refused)),
  };
}

function describeBaseline({ model }: Bench, samples: BaselineSamples): Section {
  const eight = median(samples.eight);
  return {
    title: 'Bare engine',
    how: `onnxruntime and ${model.name} alone in a process, ${ROUNDS} rounds, interleaved with the rows below.`,
    columns: ['batch', 'images/s', 'ms per image'],
    rows: [
      [1, median(samples.one).toFixed(1), median(samples.oneMs).toFixed(1)],
      [8, eight.toFixed(1), (1000 / eight).toFixed(1)],
    ],
    data: samples,
  };
}

function describeClients(bench: Bench, rounds: Round[], summaries: Summary[], baseline: BaselineSamples): Section {
  return {
    title: 'End to end',
    how: 'Multipart GraphQL mutations that wait for their result; one server, one worker; sharing and cache off. Median of the rounds; each row is compared with the bare engine just before and after it. Before the measurement, the server has given 5,000 constant answers.',
    columns: ['clients', 'images/s', 'share of bare engine', 'p50 ms', 'p95 ms', 'p99 ms', 'p99/p50', 'refused'],
    rows: summaries.map((row) => [
      row.clients,
      row.perSecond.toFixed(1),
      row.share.toFixed(3),
      row.p50.toFixed(1),
      row.p95.toFixed(1),
      row.p99.toFixed(1),
      row.tail.toFixed(2),
      row.refused.length === 0 ? 0 : JSON.stringify(row.refused),
    ]),
    data: { rounds, byClients: summaries },
    goals: checkGoals(summaries),
    charts: drawCharts(bench, summaries, median(baseline.eight)),
  };
}

function checkGoals(summaries: Summary[]) {
  const at = (clients: number) => summaries.find((row) => row.clients === clients);
  const [one, eight, many] = [at(1), at(8), at(32)];
  return [
    many && {
      goal: 'share of bare engine at 32 clients >= 0.95',
      figure: many.share.toFixed(3),
      met: many.share >= 0.95,
    },
    one && {
      goal: 'p50 at 1 client minus bare engine at batch 1 <= 8 ms',
      figure: `${one.overRawOneMs.toFixed(1)} ms`,
      met: one.overRawOneMs <= 8,
    },
    eight && { goal: 'p99/p50 at 8 clients < 1.5', figure: eight.tail.toFixed(2), met: eight.tail < 1.5 },
  ].filter((goal) => goal !== undefined);
}

function drawCharts(
  { clients, model }: Bench,
  summaries: Summary[],
  baselineEight: number,
): NonNullable<Section['charts']> {
  // A line needs two points.
  if (clients.length < 2) return [];
  const throughput = {
    title: `${model.name}: images per second`,
    xLabel: 'clients',
    x: clients,
    lines: [
      { name: 'end to end', y: summaries.map((row) => row.perSecond) },
      { name: 'bare engine, batch 8', y: clients.map(() => baselineEight) },
    ],
  };
  const latency = {
    title: `${model.name}: latency, milliseconds`,
    xLabel: 'clients',
    x: clients,
    logarithmic: true,
    lines: (['p50', 'p95', 'p99'] as const).map((name) => ({ name, y: summaries.map((row) => row[name]) })),
  };
  return [
    { file: 'throughput.svg', chart: throughput },
    { file: 'latency.svg', chart: latency },
  ];
}

async function measureOpenLoop(
  { quick, load, images, model }: Bench,
  system: System,
  capacity: number,
): Promise<Section> {
  const ratePerSecond = capacity * 0.8;
  const result = await load.call({
    urls: system.urls,
    request: 'graphql',
    model: model.name,
    images,
    load: { ratePerSecond },
    warmupMs: 2_000,
    durationMs: quick ? 8_000 : 30_000,
  });
  const latencyMs = spreadOf(result.latenciesMs);
  return {
    title: 'Open loop',
    how: 'Requests are sent at fixed times, at 80% of the rate that 32 clients reached, independent of the answers. Latency is measured from the time at which a request was due.',
    columns: ['due/s', 'answered/s', 'p50 ms', 'p95 ms', 'p99 ms', 'refused'],
    rows: [
      [
        ratePerSecond.toFixed(1),
        result.answeredPerSecond.toFixed(1),
        latencyMs.p50.toFixed(1),
        latencyMs.p95.toFixed(1),
        latencyMs.p99.toFixed(1),
        JSON.stringify(countRefusals(result)),
      ],
    ],
    data: { ratePerSecond, answeredPerSecond: result.answeredPerSecond, latencyMs, refused: countRefusals(result) },
  };
}

async function measureMemory({ baseline }: Bench, system: System): Promise<Section> {
  const { pids } = system;
  const engines = pids.engines();
  const rows = [
    ['server', pids.servers[0]!],
    ['worker', pids.workers[0]!],
    ...engines.map((pid) => ['engine', pid] as const),
    ['redis', pids.redis],
    ['bare engine', baseline.pid],
  ].map(([name, pid]) => ({ name: name as string, ...readMemory(pid as number) }));
  const extraBy = (kind: 'rssBytes' | 'pssBytes') =>
    rows
      .filter(({ name }) => name !== 'redis')
      .reduce((total, row) => total + (row.name === 'bare engine' ? -row[kind] : row[kind]), 0);
  const extra = extraBy('pssBytes');
  return {
    title: 'Memory',
    how: "Resident (RSS) and proportional (PSS) memory after all of the load above. RSS counts the engine's mapped weights once per session, PSS counts each page once.",
    columns: ['process', 'RSS MB', 'PSS MB'],
    rows: rows.map(({ name, rssBytes, pssBytes }) => [name, megabytes(rssBytes), megabytes(pssBytes)]),
    data: rows,
    goals: [
      {
        goal: 'server + worker + engine minus the bare engine < 200 MB (PSS)',
        figure: `${megabytes(extra)} MB (by RSS ${megabytes(extraBy('rssBytes'))} MB)`,
        met: extra < 200e6,
      },
    ],
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

function countRefusals({ refusals }: LoadResult): Record<string, number> {
  return Object.fromEntries(Object.entries(refusals).map(([name, latencies]) => [name, latencies.length]));
}
