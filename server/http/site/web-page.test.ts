import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createYoga } from 'graphql-yoga';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { schema } from '../../schema/schema.ts';
import { answerRequest } from '../answer-request.ts';
import type { App } from '../app.ts';
import { useWebPage } from './web-page.ts';

const log = pino({ level: 'silent' });

/** How many times this process has the file open. */
function countHandles(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;
}

test.skipIf(process.platform !== 'linux').each([
  ['before its file is looked for', 0],
  ['while its file is looked for and opened', 1],
  ['once its answer has begun', 2],
])('a client that leaves %s leaves no open file', async (_name, step) => {
  const webDir = mkdtempSync(join(tmpdir(), 'inferql-page-'));
  const index = join(webDir, 'index.html');
  // More than the system buffers of a connection.
  writeFileSync(index, 'x'.repeat(20_000_000));
  const app = createYoga({ schema, logging: false, plugins: [useWebPage(webDir, log)] }) as unknown as App;
  const leave = async ({ socket }: IncomingMessage) => {
    socket.destroy();
    await once(socket, 'close');
  };
  const server = createServer();
  let handles = -1;
  const answered = new Promise<void>((resolve) => {
    server.on('request', async (request, response) => {
      if (step === 0) await leave(request);
      const answering = answerRequest(app, request, response, log);
      if (step === 1) await leave(request);
      await answering;
      handles = countHandles(index);
      if (step === 2) await leave(request);
      resolve();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  try {
    client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await answered;
    if (step === 2) expect(handles).toBe(1);
    await expect.poll(() => countHandles(index)).toBe(0);
  } finally {
    client.destroy();
    server.close();
    rmSync(webDir, { recursive: true });
  }
});
