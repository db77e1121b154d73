/** `npm run test:containers`: the images are built, and docker-compose.yml is run, with faults under load. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import { openSocket, send, subscribeSse } from '@inferql/testing/system/graphql-client';
import { waitUntilReady } from '@inferql/testing/system/system';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startLoad } from '../faults/load-generator.ts';
import { startLedger } from '../ledger/client.ts';
import { type ComposeSystem, findMissingEngine, startCompose } from './compose.ts';

const missing = findMissingEngine();
if (missing) console.log(`The containers are not tested. ${missing}`);

/** Images take minutes to build, and a model to be pulled and converted. */
const START_LIMIT_MS = 20 * 60_000;
vi.setConfig({ testTimeout: 10 * 60_000, hookTimeout: START_LIMIT_MS });

const WORKERS = 2;
const CLIENTS = 60;
/** Of docker-compose.yml. */
const GRACE_MS = 60_000;
/** Each with the class that these weights certainly find in it. */
const SAMPLES = [
  { file: 'chelsea.png', best: 285 },
  { file: 'coffee.png', best: 967 },
];

const RESULT = 'id status result { labels(topK: 1) { index } }';
interface Seen {
  id: string;
  status: string;
  result?: { labels: { index: number }[] } | null;
}

describe.skipIf(missing)('docker compose', () => {
  let system: ComposeSystem;
  let images: Buffer[];

  beforeAll(async () => {
    images = await Promise.all(
      SAMPLES.map(({ file }) =>
        sharp(join(projectDir, 'models', 'samples', file))
          .resize(320)
          .jpeg({ quality: 95 })
          .toBuffer(),
      ),
    );
    system = await startCompose(WORKERS);
  });
  afterAll(() => system?.end());

  test('starts with two workers, and serves the page', async () => {
    expect((await system.list('worker')).length).toBe(WORKERS);
    const page = await fetch(system.url);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<title>')]);
  });

  test('has the command that creates API keys, in the server', async () => {
    const create = ['node', 'cli/bin/inferql.mjs', 'keys', 'create', '--tenant', 'acme'];
    expect(await system.exec('server', ...create)).toMatch(/^iql_live_\S+\n$/);
  });

  test('classifies over HTTP, server-sent events and a WebSocket', async () => {
    const { url } = system;
    const file = readFileSync(join(projectDir, 'models', 'samples', SAMPLES[0]!.file));
    const upload = (selection: string) =>
      send<{ classifyImage: Seen }>(url, {
        query: `mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { ${selection} } } }`,
        variables: { image: null },
        files: { image: file },
      });
    const done = { status: 'SUCCEEDED', result: { labels: [{ index: SAMPLES[0]!.best }] } };
    expect((await upload(RESULT)).data?.classifyImage).toMatchObject(done);
    const query = `subscription ($id: ID!) { prediction(id: $id) { ${RESULT} } }`;
    const socket = openSocket(url);
    for (const follow of [
      (id: string) => subscribeSse<{ prediction: Seen }>(url, { query, variables: { id } }),
      (id: string) => socket.subscribe<{ prediction: Seen }>({ query, variables: { id } }),
    ]) {
      let last: Seen | undefined;
      for await (const { data } of follow((await upload('id')).data!.classifyImage.id)) last = data?.prediction;
      expect(last).toMatchObject(done);
    }
    await socket.close();
  });

  test('if a worker, the server and Redis are killed under load, nothing is lost, no prediction ends twice, and all stop in time', async () => {
    const ledger = await startLedger();
    const load = startLoad({
      urls: [system.url],
      ledger,
      clients: CLIENTS,
      mixed: false,
      picture: (n) => images[n % images.length]!,
      expected: (n) => SAMPLES[n % SAMPLES.length]!.best,
    });
    try {
      await load.more(CLIENTS);
      await system.crash((await system.list('worker'))[0]!);
      await load.more(CLIENTS);
      await system.crash((await system.list('server'))[0]!);
      await waitUntilReady(system.url, 60_000);
      await load.more(CLIENTS);
      await system.killAndStart((await system.list('redis'))[0]!);
      await waitUntilReady(system.url, 60_000);
      await load.more(CLIENTS);
      await load.finish();
      const verdict = await ledger.judge([system.url]);
      const { lost, contradictory, missed, wrong } = verdict;
      expect({ lost, contradictory, missed, wrong }).toEqual({ lost: [], contradictory: [], missed: [], wrong: [] });
      expect(verdict.ended).toEqual({ SUCCEEDED: verdict.answered });
      console.log(
        `containers: ${verdict.answered} predictions, 0 lost, 0 contradictory, ${verdict.retried.length} run again`,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${await system.logs()}`, { cause: error });
    } finally {
      await ledger.end();
    }
    const startedAt = performance.now();
    const codes = await system.stop();
    expect(performance.now() - startedAt).toBeLessThan(GRACE_MS);
    expect(new Set(Object.values(codes))).toEqual(new Set(['0']));
    expect(Object.keys(codes).length).toBe(WORKERS + 2);
  });
});
