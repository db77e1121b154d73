import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { processExists } from '@inferql/queue/process-exists';
import { projectDir } from '@inferql/testing/build';
import { startLauncher } from '@inferql/testing/launcher/launcher';
import { afterEach, expect, test } from 'vitest';

let close = () => {};
afterEach(() => close());

/** A listener that answers each command, or any other input, with `answer(name)`. */
async function listen(answer: (command: string) => string): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        const commands = [...chunk.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)].map(([, name]) =>
          name!.toUpperCase(),
        );
        for (const command of commands) socket.write(answer(command));
      });
  }).listen(0, '127.0.0.1');
  close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  await new Promise((resolve) => server.once('listening', resolve));
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;

test.each([
  [
    'too old',
    (command: string) => (command === 'INFO' ? bulk('# Server\r\nredis_version:6.2.14\r\nos:Linux\r\n') : '+OK\r\n'),
    /Redis 7 or later .* is needed, but the server at REDIS_URL has version 6\.2\.14/,
  ],
  ['locked', () => '-NOAUTH Authentication required.\r\n', /refuses the login in REDIS_URL/],
  [
    'not Redis',
    () => 'HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n',
    /the server at this address is not Redis/,
  ],
])('a REDIS_URL that leads to one that is %s is reported before anything is set up', async (_name, answer, message) => {
  const address = await listen(answer);
  const launcher = startLauncher(projectDir, {
    PORT: '0',
    REDIS_URL: `redis://${address}`,
    INFERQL_REDIS_WAIT_MS: '500',
    // Nothing could be set up there.
    INFERQL_STATE_DIR: '/dev/null/nowhere',
  });
  expect(await launcher.exited()).toBe(1);
  expect(launcher.output()).toMatch(message);
  expect(launcher.output()).toContain(address);
  expect(launcher.output()).not.toMatch(/\n\s+at /);
});

test.each(['unix:///redis.sock', 'http://127.0.0.1', 'redis://'])(
  'the REDIS_URL %s is reported as invalid',
  async (url) => {
    const launcher = startLauncher(projectDir, { PORT: '0', REDIS_URL: url, INFERQL_STATE_DIR: '/dev/null/nowhere' });
    expect(await launcher.exited()).toBe(1);
    expect(launcher.output()).toMatch(/REDIS_URL is not an address/);
  },
);

// In /proc, Node's recursive mkdir never ends.
const impossible = ['/dev/null/nowhere', ...(existsSync('/proc/self') ? ['/proc/nowhere/state'] : [])];
test.each(impossible)('a state folder that cannot be made, such as %s, is named without a stack', async (dir) => {
  const launcher = startLauncher(projectDir, { PORT: '0', INFERQL_STATE_DIR: dir });
  expect(await launcher.exited()).toBe(1);
  expect(launcher.output()).toContain(dir.slice(0, dir.lastIndexOf('/')));
  expect(launcher.output()).not.toMatch(/\n\s+at /);
});

/** A folder with nothing but the scripts. */
function makeProject(dir: string): void {
  for (const folder of ['scripts', 'launcher']) {
    mkdirSync(join(dir, folder), { recursive: true });
    for (const file of readdirSync(join(projectDir, folder)).filter((file) => file.endsWith('.mjs')))
      copyFileSync(join(projectDir, folder, file), join(dir, folder, file));
  }
}

test.each(['SIGINT', 'SIGTERM'] as const)('%s during npm ci ends both, and is not called a failure', async (signal) => {
  const dir = mkdtempSync(join(tmpdir(), 'inferql-interrupted-'));
  makeProject(dir);
  const npm = join(dir, 'npm-cli.js');
  writeFileSync(npm, "require('node:fs').writeFileSync('npm.pid', String(process.pid)); setInterval(() => {}, 1000);");
  const launcher = startLauncher(dir, { npm_execpath: npm });
  await expect.poll(() => existsSync(join(dir, 'npm.pid')) && existsSync(join(dir, '.inferql/npm-ci.json'))).toBe(true);
  launcher.process.kill(signal);
  expect(await launcher.exited()).toBe(128 + constants.signals[signal]);
  expect(launcher.output()).not.toContain('failed');
  expect(processExists(Number(readFileSync(join(dir, 'npm.pid'), 'utf8')))).toBe(false);
  expect(existsSync(join(dir, '.inferql/npm-ci.json'))).toBe(false);
  rmSync(dir, { recursive: true });
});

test.each(['a#b', 'a?b', 'a*b', 'a!b', 'a`b'])(
  'a clone in a folder %s, which its tools do not take, is refused at once',
  async (name) => {
    const root = mkdtempSync(join(tmpdir(), 'inferql-unsuitable-'));
    const dir = join(root, name);
    makeProject(dir);
    const launcher = startLauncher(dir);
    expect(await launcher.exited()).toBe(1);
    expect(launcher.output()).toContain(dir);
    expect(launcher.output()).toMatch(/Move or rename it\.\s*$/);
    expect(readdirSync(dir).sort()).toEqual(['launcher', 'scripts']);
    rmSync(root, { recursive: true });
  },
);

test('an unknown command is named, and a command that begins at the same moment is not disturbed', async () => {
  const dir = join(projectDir, '.inferql/launcher');
  mkdirSync(dir, { recursive: true });
  // Bundles that are being written: by a process that runs, and by one that was killed.
  const [written, abandoned] = [join(dir, `bundle.mjs.${process.pid}`), join(dir, 'bundle.mjs.999999999')];
  for (const path of [written, abandoned]) writeFileSync(path, '');
  try {
    const launcher = startLauncher(projectDir, {}, ['nonsense']);
    expect(await launcher.exited()).toBe(1);
    expect(launcher.output()).toMatch(/Unknown command 'nonsense'\. Expected one of start, /);
    expect([existsSync(written), existsSync(abandoned)]).toEqual([true, false]);
  } finally {
    rmSync(written);
  }
});
