/**
 * The files of examples/embed/ as their users run them: in a folder outside the project, with InferQL from its tarballs and the frameworks
 * from the registry. Real programs, a real worker and Redis; a model whose code is in the folder.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { projectDir } from '@inferql/testing/build';
import { collect, type Operation, openSocket, send, subscribeSse, type Upload } from '@inferql/testing/graphql-client';
import { type Installation, installPackages, type Program } from '@inferql/testing/installed';
import { listProcesses } from '@inferql/testing/launcher';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis-server';
import { transform } from 'esbuild';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const SETUP_TIMEOUT_MS = 600_000;
const BUILD_TIMEOUT_MS = 240_000;
const { devDependencies } = JSON.parse(await readFile(join(projectDir, 'examples/package.json'), 'utf8'));
const ofExamples = (...names: string[]) => names.map((name) => `${name}@${devDependencies[name]}`);
const FRAMEWORKS = [
  ...ofExamples('express', 'fastify', 'hono', '@hono/node-server', 'graphql', 'graphql-yoga', '@graphql-tools/schema'),
  ...ofExamples('react', 'react-dom'),
  'next@16.4.6',
  '@graphql-hive/gateway-runtime@2.12.1',
  '@graphql-mesh/transport-http@1.2.1',
  '@theguild/federation-composition@0.27.0',
];
/** More than the body limits of Express (100 KiB) and Fastify (1 MiB). */
const LARGE_BYTES = 2_000_000;

/** Runs an example that exports `createHost` until SIGTERM. It does not exit explicitly, so that the test notices what keeps running. */
const RUNNER = `
import { once } from 'node:events';
const { createHost } = await import(process.argv[2]);
const { server, inferql, stop } = await createHost(JSON.parse(process.argv[3]));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log('ready: http://127.0.0.1:' + server.address().port);
process.once('SIGTERM', async () => {
  await inferql?.stop();
  await stop?.();
  server.close();
  server.closeAllConnections();
});
`;

/** A model whose label is the mean of an image's pixels. */
const MODEL = {
  'model.json5': "{ engine: './engine.js', input: { width: 8, height: 8, channels: 1 } }",
  'labels.json': JSON.stringify(Array.from({ length: 256 }, (_, value) => `gray ${value}`)),
  'engine.js': `
    import { defineModel } from '@inferql/worker';
    export default defineModel({
      load: ({ input, classCount }) => ({
        run({ images, count }) {
          const bytes = input.width * input.height;
          const probabilities = Array.from({ length: count }, (_, i) => {
            const pixels = images.subarray(i * bytes, (i + 1) * bytes);
            const mean = Math.round(pixels.reduce((sum, value) => sum + value, 0) / bytes);
            return Array.from({ length: classCount }, (_, value) => (value === mean ? 1 : 0));
          });
          return { probabilities };
        },
      }),
    });`,
};

interface Classified {
  classifyImage: { id: string; status: string; code?: string; result: { labels: { name: string }[] } | null };
}
interface Watched {
  prediction: { status: string };
}

const CLASSIFY = `mutation ($image: Upload!) {
  classifyImage(image: $image) { ... on Prediction { id status result { labels(topK: 1) { name } } } ... on Error { code message } }
}`;
const ENQUEUE = `mutation ($image: Upload!) {
  classifyImage(image: $image) { ... on Prediction { id status } ... on Error { code message } }
}`;
const WATCH = 'subscription ($id: ID!) { prediction(id: $id) { status } }';

const upload = (query: string, image: Uint8Array): Upload => ({ query, variables: { image: null }, files: { image } });
const watch = (id: string): Operation => ({ query: WATCH, variables: { id } });

function paint(gray: number, side = 16): Promise<Buffer> {
  const background = { r: gray, g: gray, b: gray };
  return sharp({ create: { width: side, height: side, channels: 3, background } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

const isOneEnd = (statuses: (string | undefined)[]) =>
  statuses.at(-1) === 'SUCCEEDED' && !statuses.slice(0, -1).includes('SUCCEEDED');

let installed: Installation | undefined;
let redis: TestRedis;
let worker: Program;

beforeAll(async () => {
  try {
    installed = await installPackages({ others: FRAMEWORKS, linksModels: false });
  } catch (error) {
    if (!/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH/.test(String((error as { stderr?: string }).stderr)))
      throw error;
    return;
  }
  const { dir } = installed;
  await copyExamples(join(projectDir, 'examples/embed'), dir);
  await writeFile(join(dir, 'run-host.mjs'), RUNNER);
  const modelDir = join(dir, 'models/gray');
  await mkdir(modelDir, { recursive: true });
  for (const [name, content] of Object.entries(MODEL)) await writeFile(join(modelDir, name), content);
  redis = await startTestRedis();
  worker = await installed.start(['worker.mjs'], /serving (.+)\n/, { REDIS_URL: redis.url });
}, SETUP_TIMEOUT_MS);

afterAll(async () => {
  await worker?.stop();
  await redis?.stop();
  await installed?.remove();
});

/** Node 20 runs no TypeScript: types are removed, as a bundler does it. */
async function copyExamples(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const inside = path.slice(from.length + 1);
    const target = join(to, inside);
    await mkdir(dirname(target), { recursive: true });
    if (!/\.tsx?$/.test(path)) await copyFile(path, target);
    else {
      const loader = path.endsWith('x') ? 'tsx' : 'ts';
      const { code } = await transform(await readFile(path, 'utf8'), { loader, jsx: 'automatic' });
      const extension = inside.startsWith('next/') ? '.js' : '.mjs';
      await writeFile(target.replace(/\.tsx?$/, extension), code.replace(/(from "\.[^"]*)\.ts"/g, '$1.js"'));
    }
  }
}

/** The installation, or the test is skipped. */
function requireInstalled(skip: (reason: string) => void): Installation {
  if (!installed) skip('The registry cannot be reached, so the frameworks are not installed.');
  return installed!;
}

async function startHost(example: string, options: object): Promise<Program> {
  return installed!.start(['run-host.mjs', `./${example}`, JSON.stringify(options)], /ready: (http:\S+)/);
}

const HOSTS = [
  { name: 'Express', hasWebSockets: true },
  { name: 'Fastify', hasWebSockets: true },
  { name: 'Hono', hasWebSockets: true },
  { name: 'Yoga', hasWebSockets: false },
  { name: 'Next.js', hasWebSockets: false },
];

describe.each(HOSTS)('$name', ({ name, hasWebSockets }) => {
  let host: Program | undefined;
  let origin = '';
  let api = '';

  beforeAll(async () => {
    if (!installed) return;
    const options = { redisUrl: redis.url };
    host = name === 'Next.js' ? await startNext(installed) : await startHost(`${name.toLowerCase()}.mjs`, options);
    origin = host.found;
    api = `${origin}/api`;
  }, BUILD_TIMEOUT_MS);

  test('an upload answers with its result', async ({ skip }) => {
    requireInstalled(skip);
    const { httpStatus, data } = await send<Classified>(api, upload(CLASSIFY, await paint(31)));
    expect(httpStatus).toBe(200);
    expect(data?.classifyImage).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ name: 'gray 31' }] } });
  });

  test('a file over the host’s body limit is accepted', async ({ skip }) => {
    requireInstalled(skip);
    const image = await paint(7, 1_000);
    expect(image.length).toBeGreaterThan(LARGE_BYTES);
    const { data } = await send<Classified>(api, upload(CLASSIFY, image));
    expect(data?.classifyImage.result?.labels[0]?.name).toBe('gray 7');
  });

  test('a subscription over server-sent events ends with the result', async ({ skip }) => {
    requireInstalled(skip);
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(32)));
    const states = await collect(subscribeSse<Watched>(api, watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
  });

  const testWithWebSockets = hasWebSockets ? test : () => undefined;
  testWithWebSockets('a subscription over a WebSocket ends with the result', async ({ skip }) => {
    requireInstalled(skip);
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(33)));
    const socket = openSocket(api);
    const states = await collect(socket.subscribe<Watched>(watch(data!.classifyImage.id)));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
    await socket.close();
  });

  test('a query is answered; what is not an image or not GraphQL is refused with a code', async ({ skip }) => {
    requireInstalled(skip);
    const models = await send<{ models: { name: string }[] }>(api, { query: '{ models { name } }' });
    expect(models.data?.models).toEqual([{ name: 'gray' }]);
    const refused = await send<Classified>(api, upload(CLASSIFY, Buffer.from('no image')));
    expect(refused.data?.classifyImage).toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    const response = await fetch(`${api}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-graphql-yoga-csrf': '1' },
      body: '{"query":',
    });
    expect(response.status).toBe(400);
  });

  test('the host’s other routes work', async ({ skip }) => {
    requireInstalled(skip);
    if (name === 'Yoga') {
      const { data } = await send<{ hello: string }>(api, { query: '{ hello models { name } }' });
      expect(data).toEqual({ hello: 'Yoga', models: [{ name: 'gray' }] });
    } else {
      expect(await (await fetch(`${origin}/${name === 'Next.js' ? 'api/' : ''}hello`)).json()).toEqual({ hello: name });
    }
    for (const path of ['/graphql', '/health/live']) expect((await fetch(`${origin}${path}`)).status).toBe(404);
  });

  test('a large upload that is refused early does not break the connection for the next request', async ({ skip }) => {
    requireInstalled(skip);
    // Its map names a variable that is not there.
    const { httpStatus } = await send(api, { query: CLASSIFY, files: { image: Buffer.alloc(LARGE_BYTES) } });
    // Yoga's multipart reader finds out later than InferQL's.
    expect(httpStatus).toBe(name === 'Yoga' ? 200 : 400);
    expect((await send(api, { query: '{ __typename }' })).httpStatus).toBe(200);
  });

  test('SIGTERM ends it, and no process is left', async ({ skip }) => {
    requireInstalled(skip);
    // Next.js ends as by the signal.
    expect(await host!.stop()).toBe(name === 'Next.js' ? 143 : 0);
  });
});

async function startNext({ dir, start }: Installation): Promise<Program> {
  const next = join(dir, 'node_modules/next/dist/bin/next');
  // Next.js does not accept a root folder that contains the home folder.
  const env = {
    PATH: process.env.PATH!,
    HOME: tmpdir(),
    NEXT_TELEMETRY_DISABLED: '1',
    NODE_ENV: 'production' as const,
  };
  await promisify(execFile)(process.execPath, [next, 'build'], { cwd: join(dir, 'next'), env });
  return start([next, 'start', 'next', '--hostname', '127.0.0.1', '--port', '0'], /(http:\/\/127\.0\.0\.1:\d+)/, {
    REDIS_URL: redis.url,
    NODE_ENV: 'production',
  });
}

describe('a federated gateway', () => {
  let subgraph: Program;
  let gateway: Program;
  let api = '';
  const asAlice = { 'x-tenant': 'alice' };

  beforeAll(async () => {
    if (!installed) return;
    subgraph = await startHost('subgraph.mjs', { redisUrl: redis.url });
    gateway = await startHost('gateway.mjs', { inferqlUrl: `${subgraph.found}/api/graphql` });
    api = `${gateway.found}/api`;
  });

  test('it passes uploads on, and one query joins predictions with another subgraph, for the same tenant only', async ({
    skip,
  }) => {
    requireInstalled(skip);
    const { data, errors } = await send<Classified>(api, upload(CLASSIFY, await paint(41)), undefined, asAlice);
    expect(errors).toBeUndefined();
    expect(data?.classifyImage.result?.labels).toEqual([{ name: 'gray 41' }]);
    const { id } = data!.classifyImage;
    const query = 'query ($ids: [ID!]!) { album(predictions: $ids) { title predictions { id status } } }';
    const ask = (headers: Record<string, string>) =>
      send<{ album: unknown }>(api, { query, variables: { ids: [id] } }, undefined, headers);
    expect((await ask(asAlice)).data).toEqual({
      album: { title: 'Holiday', predictions: [{ id, status: 'SUCCEEDED' }] },
    });
    expect(JSON.stringify(await ask({ 'x-tenant': 'bob' }))).not.toContain('SUCCEEDED');
  });

  test('it passes subscriptions on', async ({ skip }) => {
    requireInstalled(skip);
    const { data } = await send<Classified>(api, upload(ENQUEUE, await paint(42)), undefined, asAlice);
    const { id } = data!.classifyImage;
    const states = await collect(subscribeSse<Watched>(api, watch(id), undefined, asAlice));
    expect(states.map(({ data }) => data?.prediction.status)).toSatisfy(isOneEnd);
  });

  test('both end', async ({ skip }) => {
    requireInstalled(skip);
    expect(await gateway.stop()).toBe(0);
    expect(await subgraph.stop()).toBe(0);
  });
});

test('startWorker finishes and ends its engines on stop, and leaves the process alone', async ({ skip }) => {
  const { dir, start } = requireInstalled(skip);
  await writeFile(
    join(dir, 'two-workers.mjs'),
    `import { startWorker } from '@inferql/worker';
    const describe = () => JSON.stringify([process.eventNames().map((n) => [String(n), process.listenerCount(n)]), { ...process.env }, process.cwd()]);
    const before = describe();
    const options = { redisUrl: process.env.REDIS_URL, stateDir: './state' };
    const workers = [
      await startWorker({ ...options, prefix: 'first', models: './models' }),
      await startWorker({ ...options, prefix: 'second', models: [new URL('./models/gray', import.meta.url)] }),
    ];
    if (describe() !== before) throw new Error('changed: ' + before + ' ' + describe());
    console.log('names ' + workers.map((worker) => worker.models()).join(' ') + ';');
    await Promise.all(workers.map((worker) => worker.stop()));
    if (describe() !== before) throw new Error('changed');
    for (const wrong of [{ ...options, models: './nowhere' }, { ...options, models: './models', redisUrl: 'redis://127.0.0.1:1' }])
      await startWorker(wrong).catch((error) => console.log(error.message));
    console.log('end');`,
  );
  const program = await start(['two-workers.mjs'], /(names[^;]+);/, { REDIS_URL: redis.url });
  expect(program.found).toBe('names gray gray');
  await expect.poll(program.output, { timeout: 30_000 }).toMatch(/option 'models' names .*nowhere/);
  await expect.poll(program.output, { timeout: 30_000 }).toMatch(/127\.0\.0\.1:1 \(option 'redisUrl'\) cannot be used/);
  await expect.poll(program.output, { timeout: 30_000 }).toContain('\nend');
  await expect.poll(() => listOurs('two-workers.mjs'), { timeout: 30_000 }).toEqual([]);
  expect(listOurs('engine-process-main')).toHaveLength(1);
});

test('the worker of the example ends with its engine', async ({ skip }) => {
  requireInstalled(skip);
  expect(await worker.stop()).toBe(0);
  await expect.poll(() => listOurs('')).toEqual([]);
});

test('runInline runs Redis and a worker in one program, and leaves no process behind', async ({ skip }) => {
  const { dir, start } = requireInstalled(skip);
  await writeFile(join(dir, 'image.png'), await paint(99));
  const program = await start(['inline.mjs', 'image.png'], /(SUCCEEDED .*)\n/);
  expect(program.found).toBe('SUCCEEDED gray 99');
  await expect.poll(() => listOurs('')).toEqual([]);
});

test('runInline ends with its program, also after SIGKILL', async ({ skip }) => {
  const { dir, start } = requireInstalled(skip);
  await writeFile(
    join(dir, 'inline-killed.mjs'),
    `import { createInferQL } from '@inferql/server';
    const inferql = createInferQL({ runInline: { models: './models' } });
    await inferql.start();
    console.log('started now');
    setInterval(() => {}, 1000);`,
  );
  const program = await start(['inline-killed.mjs'], /started (now)/);
  expect(listOurs('engine-process-main')).toHaveLength(1);
  process.kill(program.pid, 'SIGKILL');
  await expect.poll(() => listOurs(''), { timeout: 20_000 }).toEqual([]);
});

test.each([
  ['a model folder that is missing', "{ models: './nowhere' }", /option 'models' names .*nowhere/],
  [
    'a Redis program that is missing',
    "{ models: './models', redisServer: '/nowhere/redis-server' }",
    /option 'runInline' needs a Redis/,
  ],
])('runInline names %s', async (_what, option, message) => {
  if (!installed) return;
  const code = `import { createInferQL } from '@inferql/server';
    const inferql = createInferQL({ runInline: ${option} });
    await inferql.start().catch((error) => console.log('error ' + error.message.replaceAll('\\n', ' ') + ' ;'));
    await inferql.stop();`;
  const program = await installed.start(['--input-type=module', '--eval', code], /error (.*) ;/);
  expect(program.found).toMatch(message);
  await expect.poll(() => listOurs(''), { timeout: 20_000 }).toEqual([]);
});

/** Command lines of programs in the installation, and of the guard of a Redis with data there. */
function listOurs(part: string): string[] {
  const { dir } = installed!;
  const isOurs = (command: string) => command.includes(`${dir}/`) && command.includes(part);
  return [...listProcesses(({ command }) => isOurs(command)).values()];
}
