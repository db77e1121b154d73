/** What it costs to identify a caller by an API key: the same requests to a server that asks for keys and to one that does not. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { KeyStore } from '@inferql/queue/access/api-keys';
import { connectRedis } from '@inferql/queue/redis/connection';
import { readCpu } from '../process-usage.ts';
import { NOOP_MODEL, type Section } from '../scenario.ts';
import { median } from '../stats.ts';
import { startSystem } from '../system.ts';

const REQUESTS = 1_000;
const BLOCKS = 12;
const GOAL_MS = 0.1;
const BODY = JSON.stringify({ query: '{ viewer { tenant } }' });

type Side = 'keys' | 'off';

/** The figure is the difference of the medians; both sides alternate in blocks of 1,000 requests, one at a time. */
export async function measureAuthentication(print: (line: string) => void): Promise<Section> {
  const start = (auth: Side) => startSystem({ scripted: [NOOP_MODEL], env: { INFERQL_AUTH: auth } });
  const systems = { keys: await start('keys'), off: await start('off') };
  const redis = connectRedis(systems.keys.redisUrl, 'request');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    if (redis.status !== 'ready') await once(redis, 'ready');
    const { text: key } = await new KeyStore(redis, { prefix: 'inferql' }).create({
      tenant: 'alice',
      scopes: ['infer', 'read'],
    });
    const measureBlock = async (side: Side) => {
      const { urls, pids } = systems[side];
      const authorization = side === 'keys' ? { authorization: `Bearer ${key}` } : {};
      const cpuBefore = readCpu(pids.servers[0]!);
      const startedAt = performance.now();
      for (let i = 0; i < REQUESTS; i++) await ask(urls[0]!, agent, authorization);
      return {
        ms: (performance.now() - startedAt) / REQUESTS,
        cpuMs: (readCpu(pids.servers[0]!).totalMs - cpuBefore.totalMs) / REQUESTS,
      };
    };
    const blocks: Record<Side, Awaited<ReturnType<typeof measureBlock>>[]> = { keys: [], off: [] };
    // The first block of each pays for just-in-time compilation.
    for (let block = 0; block <= BLOCKS; block++) {
      for (const side of block % 2 === 0 ? (['keys', 'off'] as const) : (['off', 'keys'] as const)) {
        const figures = await measureBlock(side);
        if (block > 0) blocks[side].push(figures);
      }
    }
    const of = (side: Side, figure: 'ms' | 'cpuMs') => median(blocks[side].map((block) => block[figure]));
    const addedMs = of('keys', 'ms') - of('off', 'ms');
    print(`a request takes ${addedMs.toFixed(3)} ms more with a key`);
    return {
      title: 'Authentication',
      how: `${REQUESTS} requests for \`viewer\` after one another on one connection, ${BLOCKS} blocks of each side, alternating; medians. The server remembers the key for 5 seconds.`,
      columns: ['', 'ms per request', 'CPU of the server, ms per request'],
      rows: [
        ['with a key', of('keys', 'ms').toFixed(3), of('keys', 'cpuMs').toFixed(3)],
        ['without authentication', of('off', 'ms').toFixed(3), of('off', 'cpuMs').toFixed(3)],
      ],
      data: blocks,
      goals: [
        {
          goal: `authentication adds less than ${GOAL_MS} ms per request`,
          figure: `${addedMs.toFixed(3)} ms`,
          met: addedMs < GOAL_MS,
        },
      ],
    };
  } finally {
    agent.destroy();
    redis.disconnect();
    await systems.keys.stop();
    await systems.off.stop();
  }
}

/** @throws Error unless the answer is 200 with data */
async function ask(url: string, agent: Agent, headers: Record<string, string>): Promise<void> {
  const outgoing = request(url, {
    method: 'POST',
    agent,
    headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
  });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).once('error', reject).end(BODY);
  });
  const answer = await text(response);
  if (response.statusCode !== 200 || !answer.includes('"tenant"')) throw new Error(answer.slice(0, 500));
}
