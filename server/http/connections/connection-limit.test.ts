import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildSystem, bundledProgram, projectDir } from '@inferql/testing/build';
import { startTestRedis } from '@inferql/testing/redis/redis-server';
import { expect, test } from 'vitest';
import { readConnectionLimit } from './connection-limit.ts';

const HANDLES = 300;

test('the limit leaves handles for everything else, and there is none if the system has none', () => {
  const table = (handles: string) =>
    `Max processes  100  100  processes\nMax open files            ${handles}    files\n`;
  expect(readConnectionLimit(table('1024                 1024'))).toBe(688);
  expect(readConnectionLimit(table('1048576              1048576'))).toBeGreaterThan(700_000);
  expect(readConnectionLimit(table('20                   20'))).toBeGreaterThan(0);
  expect(readConnectionLimit(table('unlimited            unlimited'))).toBe(Number.POSITIVE_INFINITY);
  expect(readConnectionLimit('')).toBe(Number.POSITIVE_INFINITY);
});

test.skipIf(process.platform !== 'linux')(
  'a server that runs out of file handles logs it once, answers health checks, and recovers',
  async () => {
    const redis = await startTestRedis();
    const dir = mkdtempSync(join(tmpdir(), 'inferql-handles-'));
    const main = bundledProgram(await buildSystem(), 'server/main');
    const server = spawn('sh', ['-c', `ulimit -n ${HANDLES}; exec "$0" "$1"`, process.execPath, main], {
      cwd: projectDir,
      env: {
        PATH: process.env.PATH,
        HOST: '127.0.0.1',
        PORT: '0',
        REDIS_URL: redis.url,
        INFERQL_STATE_DIR: dir,
        LOG_LEVEL: 'info',
      },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    const log: { level: number; msg: string }[] = [];
    const lines = createInterface({ input: server.stdout! }).on('line', (line) => log.push(JSON.parse(line)));
    const sockets: Socket[] = [];
    try {
      const [{ url }] = (await once(server, 'message')) as [{ url: string }];
      const { port } = new URL(url);
      const ask = (path: string) => fetch(url + path, { headers: { connection: 'close' } });
      expect((await ask('/health/live')).status).toBe(200);

      for (let i = 0; i < HANDLES * 2; i++) {
        const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined);
        sockets.push(socket);
        await new Promise<void>((resolve) => {
          socket.once('connect', resolve).once('close', () => resolve());
        });
      }
      for (let i = 0; i < 5; i++) expect((await ask('/health/live')).status).toBe(200);
      expect((await ask('/health/ready')).status).toBe(200);
      // The others of those beyond the limit are closed, since they ask nothing.
      await expect.poll(() => sockets.filter(({ closed }) => closed).length).toBeGreaterThan(HANDLES);
      const refused = await ask('/graphql?query={__typename}');
      expect([refused.status, (await refused.json()).errors[0].extensions.code]).toEqual([503, 'UNAVAILABLE']);
      const disguised = request(`${url}/`, { path: '/health/../graphql?query={__typename}', agent: false }).end();
      const [response] = (await once(disguised, 'response')) as [IncomingMessage];
      expect(response.resume().statusCode).toBe(503);
      expect(log.filter(({ level }) => level >= 50).map(({ msg }) => msg)).toEqual([
        expect.stringContaining('too many connections'),
      ]);

      for (const socket of sockets) socket.destroy();
      while (!log.some(({ msg }) => msg.includes('accepting connections again'))) await once(lines, 'line');
      const answered = await ask('/graphql?query={__typename}');
      expect([answered.status, await answered.json()]).toEqual([200, { data: { __typename: 'Query' } }]);
    } finally {
      for (const socket of sockets) socket.destroy();
      const exited = once(server, 'exit');
      server.kill();
      await exited;
      await redis.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
