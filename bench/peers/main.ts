/** `npm run bench -- peers`: other servers and ours, in turn: same weights, same client, same photographs, same cores. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { prepareModel } from '@inferql/converter/prepare';
import { startTestRedis } from '@inferql/testing/redis-server';
import { startAnswerer } from '../ask.ts';
import { NULL_MODEL } from '../bench.ts';
import type { LoadPlan, LoadResult } from '../load/plan.ts';
import { findPhotographs, preparePixels } from '../photographs.ts';
import { findFreePort } from '../ports.ts';
import type { RawAnswer, RawQuestion } from '../raw/plan.ts';
import { describeBusyness, formatTable, readBusyness } from '../report.ts';
import { median, percentile } from '../stats.ts';
import { startSystem } from '../system.ts';

const SOURCES = resolve('bench/peers');
const START_LIMIT_MS = 60_000;
const SHOWN_PACKAGES = ['fastapi', 'uvicorn', 'onnxruntime', 'pillow', 'litserve', 'redis'];

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, python: { type: 'string', default: 'python3' } },
});

/** A server that answers a plain upload, or ours. */
interface Peer {
  name: string;
  request: LoadPlan['request'];
  start(isNull: boolean): Promise<{ url: string; model?: string; stop(): Promise<void> }>;
}

/** A virtual environment with the packages of requirements.txt, made once. */
function installPython(): string {
  const requirements = join(SOURCES, 'requirements.txt');
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const dir = resolve('.inferql/bench', `peers-${digest}`);
  const python = join(dir, 'bin/python');
  if (!existsSync(join(dir, 'installed'))) {
    console.log('Installing the Python packages of bench/peers/requirements.txt …');
    rmSync(dir, { recursive: true, force: true });
    execFileSync(values.python, ['-m', 'venv', dir], { stdio: 'inherit' });
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { stdio: 'inherit' });
    writeFileSync(join(dir, 'installed'), '');
  }
  return python;
}

const busyness = readBusyness();
const python = installPython();
const model = await prepareModel({ modelDir: 'models/resnet50', stateDir: resolve('.inferql') });
if (!model.onnxPath) throw new Error(`no ONNX file: ${model.onnxUnavailable}`);
const { onnxPath } = model;

async function startPython(scripts: string[][], isNull: boolean, env: Record<string, string> = {}) {
  const port = await findFreePort();
  const processes = scripts.map(([file, ...args]) =>
    spawn(python, [join(SOURCES, file!), ...args], {
      env: {
        ...process.env,
        PORT: String(port),
        MODEL: onnxPath,
        LABELS: JSON.stringify(model.labels),
        NULL: isNull ? '1' : '0',
        ...env,
      },
      stdio: ['ignore', 'ignore', 'ignore'],
      detached: true,
    }),
  );
  const stop = async () => {
    for (const child of processes) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      // The whole group: some of them start processes of their own and leave them behind.
      process.kill(-child.pid!, 'SIGKILL');
      await exited;
    }
  };
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    const isUp = await fetch(`http://127.0.0.1:${port}/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) break;
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`${scripts[0]![0]} does not answer`);
    }
    await delay(100);
  }
  return { url: `http://127.0.0.1:${port}/classify`, stop };
}

const peers: Peer[] = [
  {
    name: 'InferQL',
    request: 'graphql',
    async start(isNull) {
      const system = await startSystem(isNull ? { scripted: [NULL_MODEL] } : { models: [model.name] });
      return { url: system.urls[0]!, model: isNull ? NULL_MODEL.name : model.name, stop: system.stop };
    },
  },
  {
    name: 'FastAPI + ONNX Runtime, in process, no queue',
    request: 'file',
    start: (isNull) => startPython([['plain.py']], isNull),
  },
  { name: 'LitServe', request: 'file', start: (isNull) => startPython([['lit.py']], isNull) },
  {
    name: 'FastAPI + Redis list + polling worker',
    request: 'file',
    async start(isNull) {
      const redis = await startTestRedis();
      const scripts = [
        ['polling.py', 'web'],
        ['polling.py', 'worker'],
      ];
      const { url, stop } = await startPython(scripts, isNull, { REDIS_URL: redis.url });
      return { url, stop: () => stop().then(() => redis.stop()) };
    },
  },
];

const photographs = findPhotographs();
const dir = resolve('.inferql/bench/peers-run');
mkdirSync(dir, { recursive: true });
const raw = startAnswerer<RawQuestion, RawAnswer>('raw/main.js');
const load = startAnswerer<LoadPlan, LoadResult>('load/main.js');
const { pixelsPath, size } = await preparePixels(model.spec.input, photographs, dir);
await raw.ask({ type: 'load', onnxPath, threads: availableParallelism(), pixelsPath, size });
await raw.ask({ type: 'run', batch: 8, durationMs: 2_000 });

const rounds = 3;
const durationMs = values.quick ? 5_000 : 12_000;
const found = new Map(
  peers.map(({ name }) => [name, { shares: [] as number[], oneMs: [] as number[], nulls: [] as number[] }]),
);
try {
  for (let round = 0; round < rounds; round++) {
    for (const peer of peers) {
      const figures = found.get(peer.name)!;
      const drive = async (isNull: boolean, work: (plan: Omit<LoadPlan, 'load'>) => Promise<void>) => {
        const { url, model: served, stop } = await peer.start(isNull);
        try {
          const plan = { urls: [url], request: peer.request, photographs, warmupMs: 2_000, durationMs };
          await work(served === undefined ? plan : { ...plan, model: served });
        } finally {
          await stop();
        }
      };
      await drive(false, async (plan) => {
        const before = await raw.ask({ type: 'run', batch: 8, durationMs: 3_000 });
        const many = await load.ask({ ...plan, load: { clients: 32 }, warmupMs: 4_000 });
        const after = await raw.ask({ type: 'run', batch: 8, durationMs: 3_000 });
        figures.shares.push((2 * many.answeredPerSecond) / (before.imagesPerSecond + after.imagesPerSecond));
        const one = await load.ask({ ...plan, load: { clients: 1 } });
        figures.oneMs.push(percentile(one.latenciesMs, 0.5));
      });
      await drive(true, async (plan) => {
        // Long enough for Node to have compiled what is used often.
        const many = await load.ask({ ...plan, load: { clients: 32 }, warmupMs: 10_000 });
        figures.nulls.push(many.answeredPerSecond);
      });
      console.log(`  round ${round + 1}: ${peer.name}`);
    }
  }
} finally {
  await raw.close();
  await load.close();
}

const versions = execFileSync(python, ['-m', 'pip', 'freeze'], { encoding: 'utf8' })
  .split('\n')
  .filter((line) => SHOWN_PACKAGES.includes(line.split('==')[0]!.toLowerCase()))
  .join(', ');
const table = formatTable(
  ['', 'share of the bare engine, 32 clients', 'p50 ms, 1 client', 'answers/s with a constant model, 32 clients'],
  peers.map(({ name }) => {
    const { shares, oneMs, nulls } = found.get(name)!;
    return [name, median(shares).toFixed(2), median(oneMs).toFixed(0), median(nulls).toFixed(0)];
  }),
);
const date = new Date().toISOString().slice(0, 10);
const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
const text = [
  '# Beside other servers',
  '',
  `Written by \`npm run bench -- peers${values.quick ? ' --quick' : ''}\`, which anyone can run: the same ONNX file, the same client with real multipart uploads, the same ${photographs.length} photographs, the same cores, one server after the other, median of ${rounds} rounds. The share is of the bare engine at batch 8 just before and after; with a constant model only the serving is left, decoding included. InferQL answers through GraphQL and Redis, sharing and cache off; FastAPI and LitServe have no queue.`,
  '',
  table,
  '',
  `${date}; ${machine}; ${execFileSync(python, ['--version'], { encoding: 'utf8' }).trim()}, ${versions}.`,
  ...describeBusyness(busyness),
  '',
  'What it does not show: what happens to the photographs of a process that dies, to a file that is no photograph, or under more load than the model can do; GPUs; several machines. The client shares the cores with the servers. The polling stack is our own small program of the design that InferQL grew out of, not that project itself.',
  '',
].join('\n');
writeFileSync('docs/peers.md', text);
writeFileSync(
  join('.inferql/bench', 'peers.json'),
  `${JSON.stringify({ date, machine, versions, found: [...found] }, null, 2)}\n`,
);
console.log(`\n${text}`);
process.exit(0);
