/**
 * Sends malformed requests to a running system: multipart bodies, GraphQL documents and variables, WebSocket frames. Counts the answers by kind,
 * and lists faults: the process ends, an answer takes more than 35 seconds, a 5xx other than a typed 503, a stack or path in an answer, a wrong
 * content type, an error in the log, a wrong answer to a good client that runs at the same time.
 *
 * npm run bench -- fuzz-requests --minutes 60 [--seed 1] [--lanes 6] [--only NUMBER] [--keep FOLDER]
 *
 * `--only` repeats one case of a seed. Requests with faults are kept as files. Ctrl-C ends early, with the summary.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createGoodClient, WAYS } from '../good-client.ts';
import { isRunning, sumRssBytes } from '../process-usage.ts';
import { spreadOf } from '../stats.ts';
import { startSystem } from '../system.ts';
import { isFaultInLog, judgeExchange } from './answer-rules.ts';
import { DocumentGenerator } from './documents.ts';
import { exchange } from './exchange.ts';
import { makeForm } from './forms.ts';
import { makeSocketCase, runSocketCase } from './frames.ts';
import { createDice } from './random-choices.ts';
import { formRequest, graphqlRequest } from './requests.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '15' },
    seed: { type: 'string', default: '1' },
    lanes: { type: 'string', default: '6' },
    only: { type: 'string' },
    keep: { type: 'string', default: join(tmpdir(), 'inferql-fuzz-requests') },
  },
});
const seed = Number(values.seed);
mkdirSync(values.keep, { recursive: true });
const documents = new DocumentGenerator(readFileSync('schema.graphql', 'utf8'));
const counts = new Map<string, number>();
const faults: string[] = [];
let next = 0;
let tried = 0;
let slowestMs = 0;

function addFault(text: string): void {
  faults.push(text);
  console.log(text);
}

let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopped = true;
  });
}

const system = await startSystem({
  scripted: [{ name: 'scripted', classCount: 4_096, input: { width: 4, height: 4, channels: 3 } }],
  onLog: (line) => isFaultInLog(line) && addFault(`log: ${line.slice(0, 2_000)}`),
});
const base = new URL(system.urls[0]!).origin;
const address = new URL(base);
const good = createGoodClient(base);
const pids = [...system.pids.servers, ...system.pids.workers, system.pids.redis];

/** Runs the case of a number. */
async function runCase(number: number): Promise<void> {
  const dice = createDice(seed, number);
  const startedAt = performance.now();
  const kind = dice.pick(['form', 'form', 'graphql', 'graphql', 'socket']);
  if (kind === 'socket') {
    const socketCase = makeSocketCase(documents, dice);
    const verdict = await runSocketCase(address, socketCase);
    note(
      number,
      `WebSocket ${verdict}`,
      socketCase.how,
      Buffer.concat([Buffer.from(socketCase.handshake), ...socketCase.frames]),
    );
  } else {
    const httpCase = kind === 'form' ? formRequest(makeForm(dice), dice) : graphqlRequest(documents.params(dice), dice);
    const found = await exchange(address, httpCase);
    note(
      number,
      `${httpCase.kind} ${judgeExchange(httpCase, found)}`,
      httpCase.how,
      httpCase.bytes,
      'answer' in found ? found.answer.body : '',
    );
  }
  slowestMs = Math.max(slowestMs, performance.now() - startedAt);
  tried++;
}

function note(number: number, verdict: string, how: string, bytes: Buffer, answer = ''): void {
  counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  if (!verdict.includes('FAULT')) return;
  writeFileSync(join(values.keep, `${seed}-${number}`), bytes);
  addFault(`${number}: ${verdict} (${how}) ${answer.slice(0, 500)}`);
}

const startedAt = performance.now();
const end = values.only ? startedAt : startedAt + Number(values.minutes) * 60_000;
const isOver = () => stopped || performance.now() > end;
const rssMb = () => Math.round(sumRssBytes(system.pids.servers) / 2 ** 20);
const before = rssMb();
/** A leak grows with the cases, from minute to minute; what is kept for later requests ends growing. */
const eachMinute: number[] = [];
setInterval(() => eachMinute.push(rssMb()), 60_000).unref();
if (values.only) await runCase(Number(values.only));
const goodMs: number[] = [];
let goodTurn = 0;
const lanes = Array.from({ length: Number(values.lanes) }, async () => {
  while (!isOver()) await runCase(next++);
});
const goodLane = (async () => {
  do {
    const tookMs = await good.classify(WAYS[goodTurn++ % WAYS.length]!);
    if (tookMs !== undefined) goodMs.push(tookMs);
    const live = await fetch(`${base}/health/live`, { signal: AbortSignal.timeout(35_000) }).catch((error) => ({
      status: String(error),
    }));
    if (live.status !== 200) addFault(`/health/live: ${live.status}`);
    for (const pid of pids) if (!isRunning(pid)) addFault(`process ${pid} has ended`);
  } while (!isOver() && pids.every(isRunning));
  stopped = true;
})();
await Promise.all([...lanes, goodLane]);
for (const wrong of good.wrong) addFault(`good client: wrong answer ${wrong}`);
for (const lost of good.lost) addFault(`good client: no answer ${lost}`);

for (const [verdict, count] of [...counts].sort()) console.log(`${String(count).padStart(8)} ${verdict}`);
const { p50, p99 } = spreadOf(goodMs);
console.log(`
${tried} cases of seed ${seed} in ${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes; the slowest took ${(slowestMs / 1000).toFixed(1)} s
good client at the same time: ${good.answered} right, ${good.wrong.length} wrong, ${good.lost.length} lost, refused ${JSON.stringify(good.refused)}; p50 ${Math.round(p50)} ms, p99 ${Math.round(p99)} ms
resident memory of the server: ${before} MB before, after each minute ${eachMinute.join(', ') || '-'}, ${rssMb()} MB after
${faults.length} faults${faults.length > 0 ? `; their requests are in ${values.keep}` : ''}`);
await good.close();
await system.stop();
process.exit(faults.length > 0 ? 1 : 0);
