import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { checkLibrary, checkPort, checkRedis, checkSettings, checkState, runChecks } from './checks.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-doctor-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true, force: true });
});

test('a machine like this one has no problems, and every check reports', async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const taken = await runChecks({ env: { PORT: String(port) }, dir });
  server.close();
  expect(taken.filter(({ verdict }) => verdict === 'problem')).toEqual([
    expect.objectContaining({ check: 'port', found: expect.stringContaining(`Port ${port}`) }),
  ]);
  const free = await runChecks({ env: { PORT: '0' }, dir });
  expect(free.filter(({ verdict }) => verdict === 'problem')).toEqual([]);
  expect(free.map(({ check }) => check)).toEqual([
    ...['Node', 'settings', 'port', 'memory', 'state folder', 'Redis'],
    ...['engine onnxruntime', 'engine wasm', 'image decoding (sharp)'],
  ]);
});

test('port: each problem comes with what solves it', async () => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const taken = await checkPort({ env: { PORT: String(port) }, dir });
  server.close();
  expect(taken).toEqual([
    {
      check: 'port',
      verdict: 'problem',
      found: `Port ${port} on 127.0.0.1 is taken by another program`,
      cure: expect.stringMatching(/^Stop that program, or choose another port: PORT=\d+$/),
    },
  ]);
  // An address of a network that exists only in documentation.
  const foreign = await checkPort({ env: { HOST: '192.0.2.1' }, dir });
  expect(foreign).toEqual([expect.objectContaining({ cure: 'Set it to one, such as 127.0.0.1.' })]);
});

test("port: the folder's own running system is no problem", async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const url = `http://127.0.0.1:${port}`;
  mkdirSync(join(dir, '.inferql'));
  // A second system of the folder has another port.
  for (const [pid, at] of [
    [process.pid, url],
    [process.ppid, 'http://127.0.0.1:1'],
  ] as const)
    writeFileSync(join(dir, `.inferql/running-${pid}.json`), JSON.stringify({ pid, url: at }));
  const findings = await checkPort({ env: { PORT: String(port) }, dir });
  server.close();
  expect(findings).toEqual([expect.objectContaining({ verdict: 'ok', found: expect.stringContaining(url) })]);
  const foreign = await checkPort({ env: { PORT: String(port), HOST: '192.0.2.1' }, dir });
  expect(foreign).toEqual([expect.objectContaining({ verdict: 'problem' })]);
});

describe('port: an InferQL server that listens there is recognized', () => {
  async function checkPortOf(status: number, answer: object, env: Record<string, string> = {}) {
    const server = createHttpServer((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    }).listen(0, env.HOST ?? '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      return { port, findings: await checkPort({ env: { ...env, PORT: String(port) }, dir }) };
    } finally {
      server.close();
    }
  }

  test.each([
    ['without keys', 200, { data: { limits: { maxPixels: 1 } } }],
    ['with keys', 401, { errors: [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }] }],
  ])('one %s', async (_how, status, answer) => {
    // As in its container.
    const { port, findings } = await checkPortOf(status, answer, { HOST: '0.0.0.0', INFERQL_AUTH: 'keys' });
    const found = `${port}: an InferQL server responds at http://127.0.0.1:${port}. Another one needs another PORT`;
    expect(findings).toEqual([{ check: 'port', verdict: 'ok', found }]);
  });

  test.each([
    ['another GraphQL server', 400, { errors: [{ message: 'no', extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }] }],
    ['another program', 404, {}],
    ['one that wants a password', 401, {}],
  ])('%s is not one', async (_what, status, answer) => {
    expect((await checkPortOf(status, answer)).findings).toMatchObject([{ verdict: 'problem' }]);
  });
});

test('settings: wrong values are problems, probable typing errors are warnings', async () => {
  const findings = await checkSettings({ env: { PORT: 'http', INFERQL_SAHRE: 'off', INFERQL_LOG: 'loud' }, dir });
  expect(findings).toEqual([
    expect.objectContaining({ verdict: 'problem', found: expect.stringMatching(/^PORT is 'http'/) }),
    expect.objectContaining({ verdict: 'problem', found: expect.stringMatching(/^INFERQL_LOG is 'loud'/) }),
    expect.objectContaining({ verdict: 'warning', found: expect.stringContaining('INFERQL_SHARE') }),
  ]);
});

test.each([
  [{ HOST: '0.0.0.0' }, 'INFERQL_AUTH'],
  [{ INFERQL_TENANT_LIMITS: '5photos/s' }, "INFERQL_TENANT_LIMITS is '5photos/s'"],
  [{ INFERQL_ADDRESS_LIMITS: '1images/day,2images/day' }, 'INFERQL_ADDRESS_LIMITS'],
  [{ INFERQL_IMAGE_URLS: 'allowlist' }, 'INFERQL_IMAGE_URL_HOSTS'],
  [
    { INFERQL_AUTH: 'jwt', INFERQL_JWKS_URL: 'https://id.example/jwks', INFERQL_JWT_AUDIENCE: 'inferql' },
    'INFERQL_JWT_ISSUER is not set',
  ],
  [{ INFERQL_JWT_ALGORITHMS: 'HS256' }, "INFERQL_JWT_ALGORITHMS is 'HS256'"],
  [{ INFERQL_WORKERS: 'none' }, 'INFERQL_WORKERS'],
  [{ INFERQL_ENGINE_TIME_LIMIT_MS: 'soon' }, 'INFERQL_ENGINE_TIME_LIMIT_MS'],
])('settings: %j, which a process would refuse at its start, is a problem', async (env, named) => {
  expect(await checkSettings({ env, dir })).toEqual([
    expect.objectContaining({ verdict: 'problem', found: expect.stringContaining(named) }),
  ]);
});

test('a state folder that cannot be made is a problem with a cure', async () => {
  writeFileSync(join(dir, 'file'), '');
  const [finding] = await checkState({ env: { INFERQL_STATE_DIR: 'file/state' }, dir });
  expect(finding).toMatchObject({ verdict: 'problem', cure: expect.stringContaining('INFERQL_STATE_DIR') });
});

test('a Redis or a port that does not answer, and a program that does not exist, are problems', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // Both wait as long.
  const [[silent], [gone]] = await Promise.all([
    checkPort({ env: { PORT: String(port) }, dir }),
    checkRedis({ env: { REDIS_URL: 'redis://:secret@127.0.0.1:1' }, dir }),
  ]);
  server.close();
  expect(silent).toMatchObject({ verdict: 'problem', found: expect.stringContaining('taken by another program') });
  expect(gone).toMatchObject({ verdict: 'problem', found: expect.stringContaining('127.0.0.1:1') });
  expect(JSON.stringify(gone)).not.toContain('secret');
  const [missing] = await checkRedis({ env: { INFERQL_REDIS_SERVER: join(dir, 'none') }, dir });
  expect(missing).toMatchObject({ verdict: 'problem', cure: expect.stringContaining('INFERQL_REDIS_SERVER') });
});

test('a Redis that is too old is part of the finding, and one that was built for this folder is found', async () => {
  const print = vi.spyOn(process.stdout, 'write');
  mkdirSync(join(dir, 'bin'));
  writeFileSync(join(dir, 'bin/redis-server'), '#!/bin/sh\necho "Redis server v=6.0.16 sha=0"\n', { mode: 0o755 });
  vi.stubEnv('PATH', join(dir, 'bin'));
  expect(await checkRedis({ env: {}, dir })).toEqual([
    expect.objectContaining({ verdict: 'warning', found: expect.stringContaining('is version 6.0.16; 7 or later') }),
  ]);
  // `inferql doctor --json` prints JSON only.
  expect(print).not.toHaveBeenCalled();
  const built = join(dir, 'built-redis');
  writeFileSync(built, '');
  mkdirSync(join(dir, 'state/redis-binary'), { recursive: true });
  writeFileSync(join(dir, 'state/redis-binary/redis-server.path'), built);
  const [finding] = await checkRedis({ env: { INFERQL_STATE_DIR: 'state' }, dir });
  expect(finding).toMatchObject({ verdict: 'ok', found: expect.stringContaining(built) });
});

test('a library that is missing, throws or crashes is found, and this process survives it', async () => {
  const options = { missing: 'problem', cure: 'Install it.' } as const;
  const file = (name: string, code: string) => {
    writeFileSync(join(dir, name), code);
    return join(dir, name);
  };
  const check = (library: string) => checkLibrary('library', library, join(dir, 'package.json'), options);
  expect(await check('no-such-library')).toMatchObject({
    verdict: 'problem',
    found: expect.stringContaining('not installed'),
  });
  expect(await check(file('throws.cjs', "throw new Error('wrong libc')"))).toMatchObject({
    verdict: 'problem',
    found: expect.stringContaining('wrong libc'),
    cure: 'Install it.',
  });
  expect(await check(file('crashes.cjs', "process.kill(process.pid, 'SIGILL')"))).toMatchObject({
    found: expect.stringContaining('SIGILL'),
  });
  expect(await check(file('works.cjs', ''))).toEqual({ check: 'library', verdict: 'ok', found: 'loads' });
});
