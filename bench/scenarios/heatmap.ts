import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type SupervisedEngine, startSupervisedEngine } from '@inferql/worker/engines/process/supervised-engine';
import { loadRepositoryModel } from '@inferql/worker/repository/load-model';
import { readResult } from '@inferql/worker/serving/postprocess';
import type { ServableModel } from '@inferql/worker/serving/servable-model';
import { pino } from 'pino';
import { readCpu } from '../process-usage.ts';
import { type Bench, type Section, STATE_DIR } from '../scenario.ts';
import { percentile } from '../stats.ts';
import { startSystem } from '../system.ts';

const BATCHES = [1, 8];
/** Share of the bare engine's rate that is sent. */
const LOAD = 0.5;
const MIN_PAIRS = 20;
const GOAL = 0.05;

interface Pair {
  plainMs: number;
  heatmapMs: number;
}

/** What heatmaps cost: in the worker, run by run, and end to end, with a picture in each answer. */
export async function measureHeatmap(bench: Bench): Promise<Section[]> {
  const measured = [...(await measureRuns(bench)), await measureAnswers(bench)];
  const rows = measured.map(({ what, pairs }) => {
    const [plainMs, heatmapMs] = (['plainMs', 'heatmapMs'] as const).map((kind) =>
      percentile(
        pairs.map((pair) => pair[kind]),
        0.1,
      ),
    ) as [number, number];
    return { what, plainMs, extra: heatmapMs / plainMs - 1, pairs };
  });
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  return [
    {
      title: 'Heatmaps',
      how: "The same images with and without heatmaps, interleaved. Run: wall time of sending the pixels to the engine process, running the model, and reading labels and 20 maps per image. Answer: CPU of all processes from the upload to the best label's map as a PNG, at half the rate of the bare engine. Each figure is the fastest tenth, since other work on the machine only adds time.",
      columns: ['', 'ms per image without', 'extra with heatmaps'],
      rows: rows.map(({ what, plainMs, extra }) => [what, plainMs.toFixed(1), percent(extra)]),
      data: rows,
      goals: rows.map(({ what, extra }) => ({
        goal: `extra time with heatmaps, ${what} < 5%`,
        figure: percent(extra),
        met: extra < GOAL,
      })),
    },
  ];
}

async function measureRuns({ quick, model, dir }: Bench) {
  const servable = await loadRepositoryModel(model.name, { modelsDir: 'models', stateDir: STATE_DIR });
  const { engine: name, model: files } = servable.candidates[0]!;
  const { input, classCount } = servable;
  const engine = await startSupervisedEngine({
    model: { engine: name, input, classCount, threads: availableParallelism(), ...files },
    loadLimitMs: 120_000,
    timeLimitMs: 60_000,
    log: pino({ level: 'silent' }),
  });
  try {
    const pixels = readFileSync(join(dir, 'pixels'));
    const measured = [];
    for (const batch of BATCHES) {
      const runOnce = prepareRuns(engine, servable, pixels, batch);
      await measurePair(0, runOnce);
      const pairs: Pair[] = [];
      const until = performance.now() + (quick ? 8_000 : 30_000);
      for (let turn = 0; performance.now() < until || turn < MIN_PAIRS; turn++)
        pairs.push(await measurePair(turn, runOnce));
      measured.push({ what: `a run of ${batch}`, pairs });
    }
    return measured;
  } finally {
    await engine.close();
  }
}

function prepareRuns(engine: SupervisedEngine, { input, labels }: ServableModel, pixels: Buffer, batch: number) {
  const imageBytes = input.width * input.height * input.channels;
  const images = Array.from({ length: batch }, (_, at) => pixels.subarray(at * imageBytes, (at + 1) * imageBytes));
  return async (wantHeatmaps: boolean) => {
    const startedAt = performance.now();
    const run = await engine.run(images, wantHeatmaps);
    for (let index = 0; index < batch; index++) readResult(run, index, { labels }, wantHeatmaps);
    return (performance.now() - startedAt) / batch;
  };
}

/** CPU instead of a rate: other work on the machine changes it less. */
async function measureAnswers({ quick, load, images, model, baseline, print }: Bench) {
  const { imagesPerSecond } = await baseline.call({ type: 'run', batch: 8, durationMs: 2_000 });
  const system = await startSystem({ models: [model.name] });
  try {
    const { redis, servers, workers, engines } = system.pids;
    const pids = [redis, ...servers, ...workers, ...engines()];
    const spentMs = () => pids.reduce((sum, pid) => sum + readCpu(pid).totalMs, 0);
    const plan = { urls: system.urls, request: 'graphql' as const, model: model.name, images };
    const measure = async (heatmap: boolean) => {
      const before = spentMs();
      const result = await load.call({
        ...plan,
        heatmap,
        // Requests that are due in this time count, however late the answer, so that all CPU belongs to an answer.
        load: { ratePerSecond: LOAD * imagesPerSecond },
        warmupMs: 0,
        durationMs: quick ? 5_000 : 10_000,
      });
      return (spentMs() - before) / result.answered;
    };
    await measure(true);
    const pairs: Pair[] = [];
    for (let turn = 0; turn < 10; turn++) {
      const pair = await measurePair(turn, measure);
      print(`CPU of an answer ${pair.plainMs.toFixed(1)} ms, with a heatmap ${pair.heatmapMs.toFixed(1)} ms`);
      pairs.push(pair);
    }
    return { what: 'CPU of an answer', pairs };
  } finally {
    await system.stop();
  }
}

/** The two alternate in going first. */
async function measurePair(turn: number, measure: (heatmap: boolean) => Promise<number>): Promise<Pair> {
  const isPlainFirst = turn % 2 === 0;
  const first = await measure(!isPlainFirst);
  const second = await measure(isPlainFirst);
  return isPlainFirst ? { plainMs: first, heatmapMs: second } : { plainMs: second, heatmapMs: first };
}
