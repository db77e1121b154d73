/** `npm run bench -- peers`: other servers and InferQL, one after another: same weights, same client, same images, same cores. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type PreparedModel, prepareModel } from '@inferql/converter/prepare';
import { findFreePort } from '@inferql/launcher/free-port';
import { startTestRedis } from '@inferql/testing/redis-server';
import type { BaselineRequest, BaselineResponse } from '../baseline/plan.ts';
import { startRpcChild } from '../child-rpc.ts';
import { findImages, preparePixels } from '../images.ts';
import type { LoadPlan, LoadResult } from '../load/plan.ts';
import { readTreeCpuMs } from '../proc.ts';
import { describeBusyness, formatTable, readBusyness } from '../report.ts';
import { NOOP_MODEL } from '../scenario.ts';
import { SMALL_MODEL, writeSmallModel } from '../small-model.ts';
import { median, percentile } from '../stats.ts';
import { startSystem } from '../system.ts';

const SOURCES = resolve('bench/peers');
const START_LIMIT_MS = 60_000;
const SHOWN_PACKAGES = ['fastapi', 'uvicorn', 'onnxruntime', 'pillow', 'litserve', 'redis'];

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    python: { type: 'string', default: 'python3' },
    models: { type: 'string', default: `resnet50,${SMALL_MODEL}` },
  },
});

interface Started {
  url: string;
  model?: string;
  /** Its processes; together with all their children they are what a prediction costs. */
  pids: number[];
  stop(): Promise<void>;
}

/** A server that answers a plain upload, or InferQL. */
interface Peer {
  name: string;
  request: LoadPlan['request'];
  start(isNoop: boolean): Promise<Started>;
}

/** A virtual environment with the packages of requirements.txt, created once. */
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
const smallModels = resolve('.inferql/bench/models');

/** The folder of models, and the model, ready to run. */
async function getModel(name: string): Promise<{ modelsDir: string; model: PreparedModel & { onnxPath: string } }> {
  const modelDir = name === SMALL_MODEL ? await writeSmallModel(smallModels) : join('models', name);
  const model = await prepareModel({ modelDir, stateDir: resolve('.inferql') });
  const { onnxPath } = model;
  if (!onnxPath) throw new Error(`no ONNX file: ${model.onnxUnavailable}`);
  return { modelsDir: dirname(modelDir), model: { ...model, onnxPath } };
}

async function startPython(
  { onnxPath, labels }: { onnxPath: string; labels: string[] },
  scripts: string[][],
  isNoop: boolean,
  env: Record<string, string> = {},
): Promise<Started> {
  const port = await findFreePort();
  const processes = scripts.map(([file, ...args]) =>
    spawn(python, [join(SOURCES, file!), ...args], {
      env: {
        ...process.env,
        PORT: String(port),
        MODEL: onnxPath,
        LABELS: JSON.stringify(labels),
        NULL: isNoop ? '1' : '0',
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
      // The whole group: some of them start processes and leave them behind.
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
  return { url: `http://127.0.0.1:${port}/classify`, pids: processes.map(({ pid }) => pid!), stop };
}

function listPeers({ modelsDir, model }: Awaited<ReturnType<typeof getModel>>): Peer[] {
  return [
    {
      name: 'InferQL',
      request: 'graphql',
      async start(isNoop) {
        const options = isNoop ? { scripted: [NOOP_MODEL] } : { models: [model.name], modelsDir };
        const { urls, pids, stop } = await startSystem(options);
        const roots = [pids.redis, ...pids.servers, ...pids.workers];
        return { url: urls[0]!, model: isNoop ? NOOP_MODEL.name : model.name, pids: roots, stop };
      },
    },
    {
      name: 'FastAPI + ONNX Runtime, in process, no queue',
      request: 'file',
      start: (isNoop) => startPython(model, [['plain.py']], isNoop),
    },
    { name: 'LitServe', request: 'file', start: (isNoop) => startPython(model, [['lit.py']], isNoop) },
    {
      name: 'FastAPI + Redis list + polling worker',
      request: 'file',
      async start(isNoop) {
        const redis = await startTestRedis();
        const scripts = [
          ['polling.py', 'web'],
          ['polling.py', 'worker'],
        ];
        const started = await startPython(model, scripts, isNoop, { REDIS_URL: redis.url });
        const stop = () => started.stop().then(() => redis.stop());
        return { ...started, pids: [redis.pid, ...started.pids], stop };
      },
    },
  ];
}

const images = findImages();
const dir = resolve('.inferql/bench/peers-run');
mkdirSync(dir, { recursive: true });
const baseline = startRpcChild<BaselineRequest, BaselineResponse>('baseline/main.js');
const load = startRpcChild<LoadPlan, LoadResult>('load/main.js');

const rounds = 3;
const durationMs = values.quick ? 5_000 : 12_000;
/** Batch sizes to try with the bare engine; the servers are compared with the best. */
const BATCHES = [1, 2, 4, 8];

interface Figures {
  /** Of the bare engine's rate, at 32 clients. */
  shares: number[];
  perSecond: number[];
  /** CPU of all processes per image, at 32 clients. */
  cpuMs: number[];
  /** Median latency of one client. */
  oneMs: number[];
  /** Answers per second with a constant model. */
  noops: number[];
}

/** Loads the bare engine, and finds its fastest batch size on this machine. */
async function loadBaseline({ model }: Awaited<ReturnType<typeof getModel>>): Promise<number> {
  const { pixelsPath, size } = await preparePixels(model.spec.input, images, dir);
  await baseline.call({ type: 'load', onnxPath: model.onnxPath, threads: availableParallelism(), pixelsPath, size });
  const rates: number[] = [];
  for (const batch of BATCHES) {
    await baseline.call({ type: 'run', batch, durationMs: 1_000 });
    rates.push((await baseline.call({ type: 'run', batch, durationMs: 3_000 })).imagesPerSecond);
  }
  return BATCHES[rates.indexOf(Math.max(...rates))]!;
}

async function measurePeer(peer: Peer, batch: number, figures: Figures): Promise<void> {
  const drive = async (isNoop: boolean, work: (plan: Omit<LoadPlan, 'load'>, pids: number[]) => Promise<void>) => {
    const { url, model: served, pids, stop } = await peer.start(isNoop);
    try {
      const plan = { urls: [url], request: peer.request, images, warmupMs: 2_000, durationMs };
      await work(served === undefined ? plan : { ...plan, model: served }, pids);
    } finally {
      await stop();
    }
  };
  await drive(false, async (plan, pids) => {
    await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0, durationMs: 4_000 });
    const before = await baseline.call({ type: 'run', batch, durationMs: 3_000 });
    const cpuBefore = readTreeCpuMs(pids);
    const many = await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0 });
    figures.cpuMs.push((readTreeCpuMs(pids) - cpuBefore) / many.answered);
    const after = await baseline.call({ type: 'run', batch, durationMs: 3_000 });
    figures.perSecond.push(many.answeredPerSecond);
    figures.shares.push((2 * many.answeredPerSecond) / (before.imagesPerSecond + after.imagesPerSecond));
    const one = await load.call({ ...plan, load: { clients: 1 } });
    figures.oneMs.push(percentile(one.latenciesMs, 0.5));
  });
  await drive(true, async (plan) => {
    // Long enough for Node to compile hot code.
    const many = await load.call({ ...plan, load: { clients: 32 }, warmupMs: 10_000 });
    figures.noops.push(many.answeredPerSecond);
  });
}

/** Every peer with one model, one after the other, several rounds. */
async function measureModel(name: string) {
  const found = await getModel(name);
  const batch = await loadBaseline(found);
  const peers = listPeers(found).map((peer) => ({
    peer,
    figures: { shares: [], perSecond: [], cpuMs: [], oneMs: [], noops: [] } as Figures,
  }));
  for (let round = 0; round < rounds; round++) {
    for (const { peer, figures } of peers) {
      await measurePeer(peer, batch, figures);
      console.log(`  ${name}, round ${round + 1}: ${peer.name}`);
    }
  }
  return { name, batch, peers: peers.map(({ peer, figures }) => ({ name: peer.name, ...figures })) };
}

const results: Awaited<ReturnType<typeof measureModel>>[] = [];
try {
  for (const name of values.models.split(',')) results.push(await measureModel(name));
} finally {
  await baseline.close();
  await load.close();
}

const versions = execFileSync(python, ['-m', 'pip', 'freeze'], { encoding: 'utf8' })
  .split('\n')
  .filter((line) => SHOWN_PACKAGES.includes(line.split('==')[0]!.toLowerCase()))
  .join(', ');
const sections = results.flatMap(({ name, batch, peers }) => [
  `## ${name}`,
  '',
  formatTable(
    [
      '',
      'images/s, 32 clients',
      `share of the bare engine (batch ${batch}, its best here)`,
      'CPU ms per image, all processes',
      'p50 ms, 1 client',
      'answers/s with a constant model, 32 clients',
    ],
    peers.map(({ name, shares, perSecond, cpuMs, oneMs, noops }) => [
      name,
      median(perSecond).toFixed(1),
      median(shares).toFixed(2),
      median(cpuMs).toFixed(1),
      median(oneMs).toFixed(0),
      median(noops).toFixed(0),
    ]),
  ),
  '',
]);
const date = new Date().toISOString().slice(0, 10);
const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
const text = [
  '# Beside other servers',
  '',
  `Written by \`npm run bench -- peers${values.quick ? ' --quick' : ''}\`, which anyone can run: the same ONNX file, the same client with real multipart uploads, the same ${images.length} images, the same cores, one server after the other, median of ${rounds} rounds. The share is of the bare engine just before and after, at the batch of ${BATCHES.join(', ')} with which it is fastest; with a constant model only the serving is left, decoding included. InferQL answers through GraphQL and Redis, sharing and cache off; FastAPI and LitServe have no queue.`,
  '',
  `resnet50 is resized by sharp, as its spec says; ${SMALL_MODEL} is a MobileNetV2 of 224 pixels with random weights, resized as Pillow does, which the Python servers call.`,
  '',
  ...sections,
  `${date}; ${machine}; ${execFileSync(python, ['--version'], { encoding: 'utf8' }).trim()}, ${versions}.`,
  ...describeBusyness(busyness),
  '',
  'What it does not show: what happens to the images of a process that dies, to a file that is not an image, or under more load than the model can do; GPUs; several machines. The client shares the cores with the servers. The polling stack is our own small program of the design that InferQL grew out of, not that project itself.',
  '',
].join('\n');
writeFileSync('docs/peers.md', text);
writeFileSync(
  join('.inferql/bench', 'peers.json'),
  `${JSON.stringify({ date, machine, versions, results }, null, 2)}\n`,
);
console.log(`\n${text}`);
process.exit(0);
