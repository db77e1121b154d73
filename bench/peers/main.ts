/** `npm run bench -- peers`: other servers and InferQL, one after another: same weights, same client, same images, same cores. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { prepareModel } from '@inferql/converter/prepared-model';
import { findImages } from '../benchmark-images.ts';
import { startRpcChild } from '../child-rpc.ts';
import { exitOnSignals } from '../exit-on-signals.ts';
import { countAgreement, writeInt8Model } from '../int8-model.ts';
import type { LoadPlan, LoadResult } from '../load/plan.ts';
import { readTreeCpuMs } from '../process-usage.ts';
import { readBusyness } from '../report.ts';
import { SMALL_MODEL, writeSmallModel } from '../small-model.ts';
import { percentile } from '../stats.ts';
import { type BareEngine, startBareEngines } from './bare-engines.ts';
import {
  addRounds,
  CONSTANT,
  type Figures,
  type IdleFigures,
  type Measured,
  readEarlierRounds,
  writePeersPage,
} from './page.ts';
import { type ComparedModel, INT8, installPython, listPeers, type Peer } from './servers.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    python: { type: 'string', default: 'python3' },
    models: { type: 'string', default: `resnet50,${SMALL_MODEL},${CONSTANT}` },
    peers: { type: 'string', default: 'inferql,inferql-int8,fastapi,litserve,polling' },
    rounds: { type: 'string', default: '3' },
    /** The rounds count together with those of earlier runs of the same version. */
    add: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`npm run bench -- peers [--quick] [--rounds 3] [--add] [--models NAMES] [--peers NAMES] [--python PROGRAM]
  --quick    run shorter rounds
  --add      count the rounds together with those of earlier runs of the same version
  --models   default: resnet50,${SMALL_MODEL},${CONSTANT}
  --peers    default: inferql,inferql-int8,fastapi,litserve,polling
  --python   a Python 3 with venv (default: python3)`);
  process.exit(0);
}

exitOnSignals();
const busyness = await readBusyness();
const earlier = values.add ? readEarlierRounds() : [];
const python = installPython(values.python);
const smallModels = resolve('.inferql/bench/models');

/** @param name of a model of the repository, or of the small model; constant answers have the small model's preprocessing */
async function getModel(name: string): Promise<ComparedModel> {
  const isSmall = name === SMALL_MODEL || name === CONSTANT;
  const modelDir = isSmall ? await writeSmallModel(smallModels) : join('models', name);
  const model = await prepareModel({ modelDir, stateDir: resolve('.inferql') });
  const { onnxPath } = model;
  if (!onnxPath) throw new Error(`no ONNX file: ${model.onnxUnavailable}`);
  const compared = { modelsDir: dirname(modelDir), model: { ...model, onnxPath } };
  if (isSmall || !wanted.includes(INT8) || !existsSync(join(modelDir, 'calibration.json'))) return compared;
  const int8Dir = join(dir, 'models');
  const int8Name = writeInt8Model(name, int8Dir);
  const int8 = await prepareModel({ modelDir: join(int8Dir, int8Name), stateDir: resolve('.inferql') });
  const same = await countAgreement([model, int8], images);
  const agreement = `same best label as float32 on ${same} of ${images.length} images`;
  return { ...compared, int8: { name: int8Name, modelsDir: int8Dir, agreement } };
}

const images = findImages();
const dir = resolve('.inferql/bench/peers-run');
mkdirSync(dir, { recursive: true });
const bareEngines = startBareEngines(python);
const load = startRpcChild<LoadPlan, LoadResult>('load/main.js');

const wanted = values.peers.split(',');
const rounds = Number(values.rounds);
const durationMs = values.quick ? 5_000 : 12_000;

/** CPU since they began of each role's processes, with all that they started. */
function readRoles(pids: Record<string, number[]>): Record<string, number> {
  return Object.fromEntries(Object.entries(pids).map(([role, roots]) => [role, readTreeCpuMs(roots)]));
}

/** One load, with the CPU of each role per answer. */
async function driveCounted(plan: LoadPlan, pids: Record<string, number[]>, figures: Figures): Promise<LoadResult> {
  const before = readRoles(pids);
  const result = await load.call(plan);
  const after = readRoles(pids);
  let total = 0;
  for (const role of Object.keys(pids)) {
    const ms = (after[role]! - before[role]!) / result.answered;
    figures.roleMs[role] = [...(figures.roleMs[role] ?? []), ms];
    total += ms;
  }
  figures.cpuMs.push(total);
  figures.perSecond.push(result.answeredPerSecond);
  return result;
}

/** How long a server is left without requests. */
const IDLE_MS = 3_000;

/** CPU per second that the idle server takes, and the rate of the bare engine meanwhile. */
async function measureIdle(pids: Record<string, number[]>, bare: BareEngine | undefined): Promise<IdleFigures> {
  const cpuMs = () => Object.values(readRoles(pids)).reduce((sum, ms) => sum + ms, 0);
  const startedAtMs = performance.now();
  const before = cpuMs();
  const [beside] = await Promise.all([bare?.measure(IDLE_MS), delay(IDLE_MS)]);
  return { cpuMsPerSecond: ((cpuMs() - before) * 1_000) / (performance.now() - startedAtMs), beside };
}

async function measurePeer(peer: Peer, bare: BareEngine | undefined, figures: Figures): Promise<void> {
  // Not while the server runs: some poll while they wait, which would slow down the engine that they are compared with.
  const before = await bare?.measure(3_000);
  const { url, model: served, pids, warmUp, stop } = await peer.start(bare === undefined);
  let perSecond: number;
  try {
    const plan: Omit<LoadPlan, 'load'> = {
      urls: [url],
      request: peer.request,
      images,
      warmupMs: 2_000,
      durationMs,
      ...(served !== undefined && { model: served }),
    };
    await warmUp?.(load, images);
    await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0, durationMs: 4_000 });
    const idle = await measureIdle(pids, bare);
    figures.idleMs.push(idle.cpuMsPerSecond);
    if (before && idle.beside) figures.besideShares.push(idle.beside / before);
    perSecond = (await driveCounted({ ...plan, load: { clients: 32 }, warmupMs: 0 }, pids, figures)).answeredPerSecond;
    const one = await load.call({ ...plan, load: { clients: 1 } });
    figures.oneMs.push(percentile(one.latenciesMs, 0.5));
  } finally {
    await stop();
  }
  const after = await bare?.measure(3_000);
  if (before && after) figures.shares.push((2 * perSecond) / (before + after));
}

/** Every peer with one model, one after the other, several rounds. */
async function measureModel(name: string): Promise<Measured> {
  const found = await getModel(name);
  const known = earlier.find((model) => model.name === name)?.bare;
  const bare = name === CONSTANT ? undefined : await bareEngines.findBest(found, images, dir, known);
  const peers = listPeers(python, found)
    .filter(({ id }) => wanted.includes(id))
    .map((peer) => ({
      peer,
      figures: {
        shares: [],
        besideShares: [],
        perSecond: [],
        cpuMs: [],
        roleMs: {},
        idleMs: [],
        oneMs: [],
      } as Figures,
    }));
  for (let round = 0; round < rounds; round++) {
    for (const { peer, figures } of peers) {
      await measurePeer(peer, bare, figures);
      const roles = Object.entries(figures.roleMs).map(([role, ms]) => `${role} ${ms.at(-1)!.toFixed(1)}`);
      const rate = `${figures.perSecond.at(-1)!.toFixed(1)}/s, CPU ${figures.cpuMs.at(-1)!.toFixed(1)} ms`;
      const beside = figures.besideShares.at(-1);
      const idle = `idle ${figures.idleMs.at(-1)!.toFixed(0)} ms of CPU per second${beside === undefined ? '' : `, the bare engine meanwhile ${beside.toFixed(2)}`}`;
      console.log(`  ${name}, round ${round + 1}: ${peer.name}: ${rate} (${roles.join(', ')}); ${idle}`);
    }
  }
  return { name, bare: bare?.name, peers: peers.map(({ peer, figures }) => ({ name: peer.name, ...figures })) };
}

const results: Measured[] = [];
try {
  for (const name of values.models.split(',')) results.push(await measureModel(name));
} finally {
  await bareEngines.close();
  await load.close();
}

const versions = execFileSync(python, ['-m', 'pip', 'freeze'], { encoding: 'utf8' });
const pythonVersion = execFileSync(python, ['--version'], { encoding: 'utf8' }).trim();
const isQuick = values.quick;
console.log(
  `\n${writePeersPage(addRounds(earlier, results), { isQuick, images: images.length, versions, pythonVersion, busyness })}`,
);
process.exit(0);
