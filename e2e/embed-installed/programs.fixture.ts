/**
 * The files of examples/embed/ as their users run them: in a folder outside the project, with InferQL from its tarballs and the frameworks
 * from the registry. Real programs, a real worker and Redis; a model whose code is in the folder.
 */
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import { listProcesses } from '@inferql/testing/launcher/launcher';
import { copyInstallation, type Installation, type Program } from '@inferql/testing/packages/installed-packages';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import type { Operation, Upload } from '@inferql/testing/system/graphql-client';
import { transform } from 'esbuild';
import sharp from 'sharp';
import { afterAll, beforeAll } from 'vitest';

const SETUP_TIMEOUT_MS = 600_000;
const { devDependencies } = JSON.parse(await readFile(join(projectDir, 'examples/package.json'), 'utf8'));
const ofExamples = (...names: string[]) => names.map((name) => `${name}@${devDependencies[name]}`);
const FRAMEWORKS = [
  ...ofExamples('express', 'fastify', 'hono', '@hono/node-server', 'graphql', 'graphql-yoga', '@graphql-tools/schema'),
  ...ofExamples('react', 'react-dom', 'graphql-ws'),
  'next@16.4.6',
  '@graphql-hive/gateway-runtime@2.12.1',
  '@graphql-mesh/transport-http@1.2.1',
  '@graphql-mesh/transport-ws@2.1.0',
  'ws@8.23.0',
  '@theguild/federation-composition@0.27.0',
];

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

export interface Classified {
  classifyImage: { id: string; status: string; code?: string; result: { labels: { name: string }[] } | null };
}
export interface Watched {
  prediction: { status: string };
}

export const CLASSIFY = `mutation ($image: Upload!) {
  classifyImage(image: $image) { ... on Prediction { id status result { labels(topK: 1) { name } } } ... on Error { code message } }
}`;
export const ENQUEUE = `mutation ($image: Upload!) {
  classifyImage(image: $image) { ... on Prediction { id status } ... on Error { code message } }
}`;
const WATCH = 'subscription ($id: ID!) { prediction(id: $id) { status } }';

export const upload = (query: string, image: Uint8Array): Upload => ({
  query,
  variables: { image: null },
  files: { image },
});
export const watch = (id: string): Operation => ({ query: WATCH, variables: { id } });

export function paint(gray: number, side = 16): Promise<Buffer> {
  const background = { r: gray, g: gray, b: gray };
  return sharp({ create: { width: side, height: side, channels: 3, background } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

export const isOneEnd = (statuses: (string | undefined)[]) =>
  statuses.at(-1) === 'SUCCEEDED' && !statuses.slice(0, -1).includes('SUCCEEDED');

export interface Programs {
  /** The installation, with the examples and the model in its folder; or the test is skipped. */
  require(skip: (reason: string) => void): Installation;
  isInstalled(): boolean;
  /** Absent without a worker, as is `worker`. */
  redis: TestRedis;
  /** The worker of the example. */
  worker: Program;
  /** Starts an example that exports `createHost`; `found` is its origin. */
  startHost(example: string, options: object): Promise<Program>;
  /** Command lines of programs in the installation, and of the guard of a Redis with data there. */
  listOurs(part?: string): string[];
}

/**
 * Installs before the tests of a file, and removes all after them.
 * @param options.withWorker starts a Redis and the worker of the example
 */
export function setUpPrograms({ withWorker = true } = {}): Programs {
  let installed: Installation | undefined;
  let redis: TestRedis | undefined;
  let worker: Program | undefined;

  beforeAll(async () => {
    try {
      installed = await copyInstallation(FRAMEWORKS);
    } catch (error) {
      const { stderr } = error as { stderr?: string };
      if (!/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH/.test(String(stderr))) throw error;
      return;
    }
    const { dir } = installed;
    await copyExamples(join(projectDir, 'examples/embed'), dir);
    await writeFile(join(dir, 'run-host.mjs'), RUNNER);
    const modelDir = join(dir, 'models/gray');
    await mkdir(modelDir, { recursive: true });
    for (const [name, content] of Object.entries(MODEL)) await writeFile(join(modelDir, name), content);
    if (!withWorker) return;
    redis = await startTestRedis();
    worker = await installed.start(['worker.mjs'], /serving (.+)\n/, { REDIS_URL: redis.url });
  }, SETUP_TIMEOUT_MS);

  afterAll(async () => {
    await worker?.stop();
    await redis?.stop();
    await installed?.remove();
  });

  return {
    require(skip) {
      if (!installed) skip('The registry cannot be reached, so the frameworks are not installed.');
      return installed!;
    },
    isInstalled: () => installed !== undefined,
    get redis() {
      return redis!;
    },
    get worker() {
      return worker!;
    },
    startHost: (example, options) =>
      installed!.start(['run-host.mjs', `./${example}`, JSON.stringify(options)], /ready: (http:\S+)/),
    listOurs(part = '') {
      const isOurs = (command: string) => command.includes(`${installed!.dir}/`) && command.includes(part);
      return [...listProcesses(({ command }) => isOurs(command)).values()];
    },
  };
}

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
