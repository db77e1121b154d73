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

/** Workers whose engine waits instead of computing, on one Redis and one server; then servers with constant answers. */
export async function measureScale(bench: Bench): Promise<Section[]> {
  const { quick, load, print } = bench;
  const small = await makeSmallImages(bench);
  const durationMs = quick ? 4_000 : 10_000;
  const workerRows = [];
  for (const workers of quick ? [1, 4, 16] : [1, 2, 4, 8, 16]) {
    const system = await startSystem({ workers, scripted: [WAITING_MODEL] });
    try {
      const result = await load.call({
        urls: system.urls,
        request: 'graphql',
        model: WAITING_MODEL.name,
        images: small,
        load: { clients: workers * 4 },
        warmupMs: WARM_UP_MS,
        durationMs,
      });
      workerRows.push({ workers, perSecond: result.answeredPerSecond });
      print(`${workers} workers: ${result.answeredPerSecond.toFixed(1)}/s`);
    } finally {
      await system.stop();
    }
  }
  const one = workerRows[0]!.perSecond;
  const serverRows = [];
  for (const servers of quick ? [1, 2] : [1, 2, 4]) {
    const system = await startSystem({ servers, scripted: [NOOP_MODEL] });
    try {
      const result = await load.call({
        urls: system.urls,
        request: 'graphql',
        model: NOOP_MODEL.name,
        images: bench.images,
        load: { clients: 32 },
        warmupMs: 2_000,
        durationMs,
      });
      serverRows.push({ servers, perSecond: result.answeredPerSecond });
      print(`${servers} servers: ${result.answeredPerSecond.toFixed(0)}/s`);
    } finally {
      await system.stop();
    }
  }
  const times = workerRows.at(-1)!.perSecond / one;
  return [
    {
      title: 'More workers',
      how: `Each engine waits ${WAIT_MS} ms per image, one image per batch; one Redis, one server, ${SMALL_SIDE}-pixel images, four clients per worker.`,
      columns: ['workers', 'answers/s', 'times one worker'],
      rows: workerRows.map(({ workers, perSecond }) => [workers, perSecond.toFixed(1), (perSecond / one).toFixed(2)]),
      data: workerRows,
      goals: [{ goal: '16 waiting workers / 1 >= 15', figure: times.toFixed(2), met: times >= 15 }],
      charts: [
        {
          file: 'scale-out.svg',
          chart: {
            title: `Engines that wait ${WAIT_MS} ms: answers per second`,
            xLabel: 'workers',
            x: workerRows.map(({ workers }) => workers),
            lines: [
              { name: 'measured', y: workerRows.map(({ perSecond }) => perSecond) },
              { name: 'one worker times n', y: workerRows.map(({ workers }) => workers * one) },
            ],
          },
        },
      ],
    },
    {
      title: 'More servers',
      how: 'Constant answers, one worker, full-size images, 32 clients. Everything shares the cores of this machine with the load generator.',
      columns: ['servers', 'answers/s'],
      rows: serverRows.map(({ servers, perSecond }) => [servers, perSecond.toFixed(0)]),
      data: serverRows,
    },
  ];
}
