/** The compared servers, each started with the same model. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PreparedModel } from '@inferql/converter/prepared-model';
import { findFreePort } from '@inferql/launcher/free-port';
import { hasEnded } from '@inferql/testing/processes/has-ended';
import { startTestRedis } from '@inferql/testing/redis/redis-server';
import type { RpcChild } from '../child-rpc.ts';
import type { LoadPlan, LoadResult } from '../load/plan.ts';
import { NOOP_MODEL } from '../scenario.ts';
import { type SystemOptions, startSystem } from '../system.ts';
import { warmUpServers } from '../warm-up.ts';

const SOURCES = resolve('bench/peers');
const START_LIMIT_MS = 60_000;
/** InferQL with the int8 version of a model, on the command line. */
export const INT8 = 'inferql-int8';

/** A model that is ready to run, and the folder of models that it is in. */
export interface ComparedModel {
  modelsDir: string;
  model: PreparedModel & { onnxPath: string };
  /** Its int8 version, if it has one. */
  int8?: { name: string; modelsDir: string; agreement: string };
}

export interface Started {
  url: string;
  model?: string;
  /** Its processes by role; together with all their children they are what a prediction costs. */
  pids: Record<string, number[]>;
  /** Absent if nothing is compiled while it runs. */
  warmUp?(load: RpcChild<LoadPlan, LoadResult>, images: string[]): Promise<void>;
  stop(): Promise<void>;
}

/** A server that answers a plain upload, or InferQL. */
export interface Peer {
  /** Names it on the command line. */
  id: string;
  name: string;
  request: LoadPlan['request'];
  start(isNoop: boolean): Promise<Started>;
}

/** A virtual environment with the packages of requirements.txt, created once. */
export function installPython(from: string): string {
  const requirements = join(SOURCES, 'requirements.txt');
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const dir = resolve('.inferql/bench', `peers-${digest}`);
  const python = join(dir, 'bin/python');
  if (!existsSync(join(dir, 'installed'))) {
    console.log('Installing the Python packages of bench/peers/requirements.txt …');
    rmSync(dir, { recursive: true, force: true });
    execFileSync(from, ['-m', 'venv', dir], { stdio: 'inherit' });
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { stdio: 'inherit' });
    writeFileSync(join(dir, 'installed'), '');
  }
  return python;
}

async function startPython(
  python: string,
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
  // The whole group: some of them start processes and leave them behind.
  const kill = (child: ChildProcess) => process.kill(-child.pid!, 'SIGKILL');
  const killWithBench = () => processes.filter((child) => !hasEnded(child)).forEach(kill);
  process.once('exit', killWithBench);
  const stop = async () => {
    for (const child of processes) {
      if (hasEnded(child)) continue;
      const exited = once(child, 'exit');
      kill(child);
      await exited;
    }
    process.off('exit', killWithBench);
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
  return { url: `http://127.0.0.1:${port}/classify`, pids: { python: processes.map(({ pid }) => pid!) }, stop };
}

async function startInferql(model: string, options: SystemOptions): Promise<Started> {
  const system = await startSystem(options);
  const { servers, workers, redis } = system.pids;
  return {
    url: system.urls[0]!,
    model,
    pids: { server: servers, worker: workers, redis: [redis] },
    warmUp: (load, images) => warmUpServers(system, load, images),
    stop: system.stop,
  };
}

function describeInt8({ name, modelsDir, agreement }: NonNullable<ComparedModel['int8']>): Peer {
  return {
    id: INT8,
    name: `InferQL, int8 (${agreement})`,
    request: 'graphql',
    start: () => startInferql(name, { models: [name], modelsDir }),
  };
}

export function listPeers(python: string, { modelsDir, model, int8 }: ComparedModel): Peer[] {
  return [
    {
      id: 'inferql',
      name: 'InferQL',
      request: 'graphql',
      start: (isNoop) =>
        isNoop
          ? startInferql(NOOP_MODEL.name, { scripted: [NOOP_MODEL] })
          : startInferql(model.name, { models: [model.name], modelsDir }),
    },
    ...(int8 ? [describeInt8(int8)] : []),
    {
      id: 'fastapi',
      name: 'FastAPI + ONNX Runtime, in process, no queue',
      request: 'file',
      start: (isNoop) => startPython(python, model, [['fastapi_server.py']], isNoop),
    },
    {
      id: 'litserve',
      name: 'LitServe',
      request: 'file',
      start: (isNoop) => startPython(python, model, [['litserve_server.py']], isNoop),
    },
    {
      id: 'polling',
      name: 'FastAPI + Redis list + polling worker',
      request: 'file',
      async start(isNoop) {
        const redis = await startTestRedis();
        const scripts = [
          ['polling_worker.py', 'web'],
          ['polling_worker.py', 'worker'],
        ];
        const started = await startPython(python, model, scripts, isNoop, { REDIS_URL: redis.url });
        const stop = () => started.stop().then(() => redis.stop());
        return { ...started, pids: { ...started.pids, redis: [redis.pid] }, stop };
      },
    },
  ];
}
