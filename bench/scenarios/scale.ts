import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { type Bench, NOOP_MODEL, type Section } from '../scenario.ts';
import { startSystem } from '../system.ts';

const WAIT_MS = 50;
const SMALL_SIDE = 96;
/** Sixteen workers share two cores: it takes this long until each one's code has been compiled. */
const WARM_UP_MS = 20_000;

/** Images of 96 pixels: the queue is measured, and decoding must not use up the cores. */
export async function makeSmallImages({ images, dir }: Pick<Bench, 'images' | 'dir'>): Promise<string[]> {
  return await Promise.all(
    images.map(async (path, index) => {
      const small = join(dir, `small-${index}.jpg`);
      await writeFile(
        small,
        await sharp(await readFile(path))
          .resize(SMALL_SIDE, SMALL_SIDE)
          .jpeg()
          .toBuffer(),
      );
      return small;
    }),
  );
}

export const WAITING_MODEL = {
  name: 'waiting',
  script: { waitMs: WAIT_MS },
  batching: { maxBatchSize: 1 },
};

interface Row {
  /** How many workers, or servers. */
  count: number;
  perSecond: number;
}

/** Workers whose engine waits instead of computing, on one Redis and one server; then servers with constant answers. */
export async function measureScale(bench: Bench): Promise<Section[]> {
  return [describeWorkers(await measureWorkers(bench)), describeServers(await measureServers(bench))];
}

const durationOf = ({ quick }: Bench) => (quick ? 4_000 : 10_000);

async function measureWorkers(bench: Bench): Promise<Row[]> {
  const { quick, load, print } = bench;
  const images = await makeSmallImages(bench);
  const rows: Row[] = [];
  for (const workers of quick ? [1, 4, 16] : [1, 2, 4, 8, 16]) {
    const system = await startSystem({ workers, scripted: [WAITING_MODEL] });
    try {
      const result = await load.call({
        urls: system.urls,
        request: 'graphql',
        model: WAITING_MODEL.name,
        images,
        load: { clients: workers * 4 },
        warmupMs: WARM_UP_MS,
        durationMs: durationOf(bench),
      });
      rows.push({ count: workers, perSecond: result.answeredPerSecond });
      print(`${workers} workers: ${result.answeredPerSecond.toFixed(1)}/s`);
    } finally {
      await system.stop();
    }
  }
  return rows;
}

function describeWorkers(rows: readonly Row[]): Section {
  const one = rows[0]!.perSecond;
  const times = rows.at(-1)!.perSecond / one;
  return {
    title: 'More workers',
    how: `Each engine waits ${WAIT_MS} ms per image, one image per batch; one Redis, one server, ${SMALL_SIDE}-pixel images, four clients per worker.`,
    columns: ['workers', 'answers/s', 'times one worker'],
    rows: rows.map(({ count, perSecond }) => [count, perSecond.toFixed(1), (perSecond / one).toFixed(2)]),
    data: rows.map(({ count, perSecond }) => ({ workers: count, perSecond })),
    goals: [{ goal: '16 waiting workers / 1 >= 15', figure: times.toFixed(2), met: times >= 15 }],
    charts: [
      {
        file: 'scale-out.svg',
        chart: {
          title: `Engines that wait ${WAIT_MS} ms: answers per second`,
          xLabel: 'workers',
          x: rows.map(({ count }) => count),
          lines: [
            { name: 'measured', y: rows.map(({ perSecond }) => perSecond) },
            { name: 'one worker times n', y: rows.map(({ count }) => count * one) },
          ],
        },
      },
    ],
  };
}

async function measureServers(bench: Bench): Promise<Row[]> {
  const { quick, load, images, print } = bench;
  const rows: Row[] = [];
  for (const servers of quick ? [1, 2] : [1, 2, 4]) {
    const system = await startSystem({ servers, scripted: [NOOP_MODEL] });
    try {
      const result = await load.call({
        urls: system.urls,
        request: 'graphql',
        model: NOOP_MODEL.name,
        images,
        load: { clients: 32 },
        warmupMs: 2_000,
        durationMs: durationOf(bench),
      });
      rows.push({ count: servers, perSecond: result.answeredPerSecond });
      print(`${servers} servers: ${result.answeredPerSecond.toFixed(0)}/s`);
    } finally {
      await system.stop();
    }
  }
  return rows;
}

function describeServers(rows: readonly Row[]): Section {
  return {
    title: 'More servers',
    how: 'Constant answers, one worker, full-size images, 32 clients. Everything shares the cores of this machine with the load generator.',
    columns: ['servers', 'answers/s'],
    rows: rows.map(({ count, perSecond }) => [count, perSecond.toFixed(0)]),
    data: rows.map(({ count, perSecond }) => ({ servers: count, perSecond })),
  };
}
