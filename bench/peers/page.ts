/** docs/peers.md, from measurements of one or several runs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { describeBusyness, describeVersion, formatTable } from '../report.ts';
import { SMALL_MODEL } from '../small-model.ts';
import { median } from '../stats.ts';

/** The name of the constant answers among the models. */
export const CONSTANT = 'constant';
const SHOWN_PACKAGES = ['fastapi', 'uvicorn', 'onnxruntime', 'pillow', 'litserve', 'redis'];
const RESULTS = resolve('.inferql/bench/peers.json');

/** One value per round. */
export interface Figures {
  /** Of the bare engine's rate before the server was started and after it was stopped, at 32 clients. */
  shares: number[];
  /** The bare engine's rate while the server is idle, as a share of its rate before the server started. */
  besideShares: number[];
  perSecond: number[];
  /** CPU of all processes per image, at 32 clients. */
  cpuMs: number[];
  /** The same by role. */
  roleMs: Record<string, number[]>;
  /** CPU of all processes while nobody asks, in milliseconds per second. */
  idleMs: number[];
  /** Median latency of one client. */
  oneMs: number[];
}

export interface IdleFigures {
  cpuMsPerSecond: number;
  /** Images per second of the bare engine meanwhile. */
  beside: number | undefined;
}

export interface Measured {
  name: string;
  /** The fastest bare engine; undefined for constant answers. */
  bare: string | undefined;
  peers: ({ name: string } & Figures)[];
}

export interface PageFacts {
  isQuick: boolean;
  images: number;
  /** As `pip freeze` prints them. */
  versions: string;
  pythonVersion: string;
  busyness: number;
}

interface Saved {
  version: string;
  results: Measured[];
}

/** Results of earlier runs; none if there are none. */
function readSaved(): Saved | undefined {
  try {
    return JSON.parse(readFileSync(RESULTS, 'utf8')) as Saved;
  } catch {
    return undefined;
  }
}

/** What earlier runs measured of the same version. @throws if it was another version */
export function readEarlierRounds(): Measured[] {
  const saved = readSaved();
  if (saved && saved.version !== describeVersion()) {
    throw new Error(`--add: the last run measured ${saved.version}, and this is ${describeVersion()}`);
  }
  return saved?.results ?? [];
}

/** Those whose model is not among the others. */
function withoutModels(results: readonly Measured[], others: readonly Measured[]): Measured[] {
  return results.filter(({ name }) => !others.some((model) => model.name === name));
}

/** The rounds of both, by model and peer. */
export function addRounds(earlier: readonly Measured[], fresh: readonly Measured[]): Measured[] {
  const join = (a: Figures, b: Figures): Figures => ({
    shares: [...a.shares, ...b.shares],
    besideShares: [...a.besideShares, ...b.besideShares],
    perSecond: [...a.perSecond, ...b.perSecond],
    cpuMs: [...a.cpuMs, ...b.cpuMs],
    roleMs: Object.fromEntries(
      Object.entries(b.roleMs).map(([role, ms]) => [role, [...(a.roleMs[role] ?? []), ...ms]]),
    ),
    idleMs: [...a.idleMs, ...b.idleMs],
    oneMs: [...a.oneMs, ...b.oneMs],
  });
  const others = withoutModels(earlier, fresh);
  const joined = fresh.map((model) => {
    const before = earlier.find(({ name }) => name === model.name)?.peers ?? [];
    const added = before.map((peer) => {
      const more = model.peers.find(({ name }) => name === peer.name);
      return more ? { name: peer.name, ...join(peer, more) } : peer;
    });
    const first = model.peers.filter(({ name }) => !before.some((peer) => peer.name === name));
    return { ...model, peers: [...added, ...first] };
  });
  return [...others, ...joined];
}

function describeRounds(results: readonly Measured[]): string {
  const counts = results.flatMap(({ peers }) => peers.map(({ perSecond }) => perSecond.length));
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

function formatModel({ name, bare, peers }: Measured): string[] {
  const isConstant = bare === undefined;
  const columns = [
    '',
    'answers/s, 32 clients',
    ...(isConstant ? [] : ['share of the bare engine']),
    'CPU ms per image, all processes',
    'of these',
    'idle: CPU ms per second',
    'p50 ms, 1 client',
  ];
  const rows = peers.map(({ name, shares, perSecond, cpuMs, roleMs, idleMs, oneMs }) => [
    name,
    median(perSecond).toFixed(1),
    ...(isConstant ? [] : [median(shares).toFixed(2)]),
    median(cpuMs).toFixed(1),
    Object.entries(roleMs)
      .map(([role, ms]) => `${role} ${median(ms).toFixed(1)}`)
      .join(', '),
    median(idleMs).toFixed(0),
    median(oneMs).toFixed(1),
  ]);
  const beside = peers.map(({ name, besideShares }) => `${median(besideShares).toFixed(2)} (${name})`).join(', ');
  const engine = isConstant
    ? []
    : [
        `The fastest bare engine was ${bare}. Next to each server, running but idle, it reached this share of its rate: ${beside}.`,
        '',
      ];
  return [`## ${isConstant ? 'Constant answers' : name}`, '', formatTable(columns, rows), '', ...engine];
}

/** Writes docs/peers.md, with models that only earlier runs measured. @returns its text */
export function writePeersPage(fresh: Measured[], facts: PageFacts): string {
  const others = withoutModels(readSaved()?.results ?? [], fresh);
  const results = [...others, ...fresh];
  const versions = facts.versions
    .split('\n')
    .filter((line) => SHOWN_PACKAGES.includes(line.split('==')[0]!.toLowerCase()))
    .join(', ');
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}`;
  const text = [
    '# Comparison with other servers',
    '',
    `Measured by \`npm run bench -- peers${facts.isQuick ? ' --quick' : ''}\`, which anyone can run. Each server gets the same ONNX file, the same cores, and the same client with real multipart uploads of the same ${facts.images} images. The servers run one after another; figures are the median of ${describeRounds(results)} rounds. The share compares with the bare engine, measured alone on the machine just before the server starts and just after it stops, in its fastest configuration here: with batches of 1, 2, 4 or 8, from Node or Python, with one session on all cores or one process per core. With constant answers, no model runs, so only the serving overhead is measured, including decoding. InferQL answers through GraphQL and Redis, with sharing and cache off; FastAPI and LitServe have no queue. A worker's CPU includes its engine process. InferQL's server has given 5,000 constant answers before it is measured, during which V8 compiles its code; Python compiles nothing. Servers that poll use CPU even when there are no requests: LitServe's worker polls its queue, which is another process, every millisecond.`,
    '',
    `${SMALL_MODEL} is a MobileNetV2 of 224 pixels with random weights.`,
    '',
    ...results.flatMap(formatModel),
    `Measured on ${date}; ${describeVersion()}; ${machine}; ${facts.pythonVersion}, ${versions}.`,
    ...describeBusyness(facts.busyness),
    '',
    'The comparison does not show what happens to the images of a process that dies, to files that are not images, or under more load than the model can handle. It covers neither GPUs nor several machines. The client shares the cores with the servers. The polling stack is a small program that we wrote to the design that InferQL grew out of; it is not that project itself.',
    '',
  ].join('\n');
  writeFileSync('docs/peers.md', text);
  writeFileSync(
    RESULTS,
    `${JSON.stringify({ date, version: describeVersion(), machine, versions, results }, null, 2)}\n`,
  );
  return text;
}
