/** The Dockerfile and the compose file that `inferql init` writes, built from the packed packages and run. */
import { execFile } from 'node:child_process';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findFreePort } from '@inferql/launcher/free-port';
import { projectDir } from '@inferql/testing/build';
import { packPackages } from '@inferql/testing/packages/installed-packages';
import { startRegistry } from '@inferql/testing/packages/npm-registry';
import { collect, openSocket, send, subscribeSse } from '@inferql/testing/system/graphql-client';
import { waitUntilReady } from '@inferql/testing/system/system';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildImage, findMissingEngine, openProject, removeImage } from './compose.ts';

const missing = findMissingEngine();
if (missing) console.log(`The compose file of a new project is not tested. ${missing}`);

const run = promisify(execFile);
/** The image is built, and the model pulled and converted. */
vi.setConfig({ testTimeout: 5 * 60_000, hookTimeout: 20 * 60_000 });

const NAME = `inferql-init-test-${process.pid}`;
/** Of the compose file. */
const GRACE_MS = 60_000;
/** The class of chelsea.png that these weights certainly find. */
const CHELSEA = 285;

interface Seen {
  id: string;
  status: string;
  result?: { labels: { index: number; name: string }[] } | null;
}

const RESULT = 'id status result { labels(topK: 1) { index name } }';
const done = { status: 'SUCCEEDED', result: { labels: [{ index: CHELSEA, name: 'Egyptian_cat' }] } };

describe.skipIf(missing)('a project of inferql init', () => {
  let folder: string;
  let project: ReturnType<typeof openProject>;
  let url: string;
  let image: Buffer;

  const upload = (selection: string) =>
    send<{ classifyImage: Seen }>(url, {
      query: `mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { ${selection} } } }`,
      variables: { image: null },
      files: { image },
    });

  beforeAll(async () => {
    image = await readFile(join(projectDir, 'models/samples/chelsea.png'));
    folder = await mkdtemp(join(tmpdir(), 'inferql-init-'));
    const cwd = join(folder, 'project');
    const registry = await startRegistry(await packPackages(join(folder, 'tarballs')));
    try {
      await writeFile(join(folder, 'package.json'), '{ "private": true }');
      const options = ['--registry', registry.url, '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
      await run('npm', ['install', ...options, 'inferql'], { cwd: folder });
      await run('npx', ['inferql', 'init', 'project'], { cwd: folder });
      // All that is changed in the project: the packages are not published.
      await appendFile(join(cwd, '.npmrc'), `registry=${registry.url}\n`);
      await buildImage(cwd, `${NAME}-inferql`);
    } finally {
      await registry.stop();
    }
    const port = await findFreePort();
    url = `http://127.0.0.1:${port}`;
    // The model comes from where npm finds it here.
    const environment = { npm_config_registry: registry.upstream };
    const override = join(folder, 'override.json');
    await writeFile(override, JSON.stringify({ services: { inferql: { environment } } }));
    const options = ['--file', 'compose.yml', '--file', override];
    project = openProject(NAME, { cwd, options, env: { PORT: String(port) } });
    await project.start();
  });

  afterAll(async () => {
    await project?.end();
    await removeImage(`${NAME}-inferql`);
    await rm(folder, { recursive: true, force: true });
  });

  test('classifies over HTTP as soon as it is healthy, and serves the page', async () => {
    expect((await upload(RESULT)).data?.classifyImage).toMatchObject(done);
    const page = await fetch(url, { headers: { accept: 'text/html' } });
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<title>')]);
  });

  test('subscriptions over server-sent events and a WebSocket end with the result', async () => {
    const query = `subscription ($id: ID!) { prediction(id: $id) { ${RESULT} } }`;
    const socket = openSocket(url);
    for (const subscribe of [
      (id: string) => subscribeSse<{ prediction: Seen }>(url, { query, variables: { id } }),
      (id: string) => socket.subscribe<{ prediction: Seen }>({ query, variables: { id } }),
    ]) {
      const states = await collect(subscribe((await upload('id')).data!.classifyImage.id));
      expect(states.at(-1)?.data?.prediction).toMatchObject(done);
    }
    await socket.close();
  });

  test('it stops in time, and starts again with its predictions and without another pull', async () => {
    const { id } = (await upload(RESULT)).data!.classifyImage;
    const startedAt = performance.now();
    const codes = await project.stop('inferql', 'redis');
    expect(performance.now() - startedAt).toBeLessThan(GRACE_MS);
    expect(Object.values(codes)).toEqual(['0', '0']);
    await project.start();
    await waitUntilReady(url);
    const query = `query ($id: ID!) { prediction(id: $id) { ${RESULT} } }`;
    expect((await send<{ prediction: Seen }>(url, { query, variables: { id } })).data?.prediction).toMatchObject(done);
    expect((await upload(RESULT)).data?.classifyImage).toMatchObject(done);
    expect((await project.compose('logs', '--no-color', 'inferql')).match(/pulled/g)?.length ?? 0).toBeLessThan(2);
  });
});
