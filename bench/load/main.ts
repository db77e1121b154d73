/** The load generator: a separate process, so that it does not share an event loop with what it measures. */
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { serveRpc } from '../child-rpc.ts';
import { ratePerSecond } from '../stats.ts';
import { BODY_TYPE, buildBodies, judgeAnswer } from './bodies.ts';
import type { LoadPlan, LoadResult } from './plan.ts';

/** An answer that takes longer counts as lost. */
const ANSWER_LIMIT_MS = 120_000;

/** @returns a function that sends the next image to the next server. It resolves to undefined, or to why the answer does not count. */
function createSender(plan: LoadPlan, agent: Agent): () => Promise<string | undefined> {
  const bodies = buildBodies(plan);
  const addresses = plan.urls.map((url) => new URL(url));
  let sent = 0;
  return () =>
    new Promise((resolve) => {
      const turn = sent++;
      const body = bodies[turn % bodies.length]!;
      const { hostname, port, pathname } = addresses[turn % addresses.length]!;
      const call = httpRequest(
        {
          agent,
          hostname,
          port,
          path: pathname,
          method: 'POST',
          timeout: ANSWER_LIMIT_MS,
          headers: {
            'content-type': BODY_TYPE,
            'content-length': body.length,
            accept: 'application/graphql-response+json, application/json',
            'x-graphql-yoga-csrf': '1',
          },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve(judgeAnswer(plan, response.statusCode!, text)));
          response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer')));
      call.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      call.end(body);
    });
}

async function generateLoad(plan: LoadPlan): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, scheduling: 'fifo' });
  const send = createSender(plan, agent);
  const startedAt = performance.now();
  const from = startedAt + plan.warmupMs;
  const until = from + plan.durationMs;
  const answeredAt: number[] = [];
  const latenciesMs: number[] = [];
  const refusals: Record<string, number[]> = {};

  const sendOne = async (dueAt: number) => {
    const refusal = await send();
    const now = performance.now();
    // In an open loop every request that was due in the time counts, however late its answer; in a closed loop every answer.
    const counts = 'clients' in plan.load ? now >= from && now < until : dueAt >= from && dueAt < until;
    if (!counts) return;
    if (refusal === undefined) {
      latenciesMs.push(now - dueAt);
      answeredAt.push(now);
    } else {
      refusals[refusal] ??= [];
      refusals[refusal].push(now - dueAt);
    }
  };

  const cpu = measureCpu(from - startedAt, until - startedAt);
  if ('clients' in plan.load) await runClosedLoop(plan.load.clients, until, sendOne);
  else await runOpenLoop(plan.load.ratePerSecond, startedAt, until, sendOne);
  agent.destroy();
  return {
    answered: answeredAt.length,
    answeredPerSecond:
      'clients' in plan.load ? ratePerSecond(answeredAt) : (1000 * answeredAt.length) / plan.durationMs,
    latenciesMs,
    refusals,
    cpuMs: await cpu,
    measuredMs: plan.durationMs,
  };
}

type SendOne = (dueAt: number) => Promise<void>;

/** Each client sends its next request once the previous one is answered. */
async function runClosedLoop(clients: number, until: number, sendOne: SendOne): Promise<void> {
  const client = async () => {
    while (performance.now() < until) await sendOne(performance.now());
  };
  await Promise.all(Array.from({ length: clients }, client));
}

/** Requests are sent at fixed times, whatever the answers do. */
async function runOpenLoop(rate: number, startedAt: number, until: number, sendOne: SendOne): Promise<void> {
  const gapMs = 1000 / rate;
  const open: Promise<void>[] = [];
  for (let dueAt = startedAt; dueAt < until; dueAt += gapMs) {
    const earlyMs = dueAt - performance.now();
    if (earlyMs > 0) await delay(earlyMs);
    open.push(sendOne(dueAt));
  }
  await Promise.all(open);
}

async function measureCpu(fromMs: number, untilMs: number): Promise<number> {
  await delay(fromMs);
  const before = process.cpuUsage();
  await delay(untilMs - fromMs);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

serveRpc(generateLoad);
