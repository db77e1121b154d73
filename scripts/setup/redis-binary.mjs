// Finding a Redis server program, or getting one.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir, setupDir } from './places.mjs';
import { SetupError, say, showStep } from './screen.mjs';
import { findOnPath, installSystemPackage } from './system-packages.mjs';
import { npmCommand, runTool } from './tools.mjs';

const OLDEST_REDIS = 7;
const NAMES = ['redis-server', 'valkey-server'];
const BUILT_BY = 'redis-memory-server@0.17.1';
const builtDir = join(setupDir, 'redis-binary');
const builtPathFile = join(builtDir, 'redis-server.path');

function findRedisServer() {
  const chosen = process.env.INFERQL_REDIS_SERVER;
  if (chosen) {
    if (existsSync(chosen)) return chosen;
    throw new SetupError(`INFERQL_REDIS_SERVER names ${chosen}, which does not exist.`);
  }
  const found = findOnPath(...NAMES);
  if (found && isRecent(found)) return found;
  if (existsSync(builtPathFile)) {
    const built = readFileSync(builtPathFile, 'utf8');
    if (existsSync(built)) return built;
  }
  return undefined;
}

/** Scripts with flags came with Redis 7; every Valkey has them. */
function isRecent(binary) {
  const version = /v=(\d+)\.[\d.]+/.exec(spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout ?? '');
  if (version && Number(version[1]) >= OLDEST_REDIS) return true;
  say(
    `  ${binary} is ${version ? `version ${version[0].slice(2)}` : 'of an unknown version'}; ${OLDEST_REDIS} or later is needed.`,
  );
  return false;
}

/**
 * The path of a redis-server or valkey-server; installs or builds one where there is none.
 * @throws {SetupError} that names the ways to get one
 */
export async function provideRedisServer() {
  const found = findRedisServer();
  if (found) return found;
  const failures = [];
  for (const way of [installFromSystem, buildFromSource]) {
    try {
      await way();
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      failures.push(error.message.split('\n')[0]);
    }
    const provided = findRedisServer();
    if (provided) return provided;
  }
  throw new SetupError(
    [
      'InferQL needs a Redis (or Valkey) server, and there is none. Any of these helps:',
      '  - install redis-server or valkey-server, so that it is on the PATH (or name it in INFERQL_REDIS_SERVER);',
      '  - run one elsewhere and name it: REDIS_URL=redis://host:6379 npm start;',
      '  - install a C compiler and make, so that npm start can build one (redis-memory-server).',
      ...failures.map((failure) => `Tried without success: ${failure}`),
    ].join('\n'),
  );
}

async function installFromSystem() {
  const redis = 'redis';
  const names = {
    'apt-get': 'redis-server',
    apk: redis,
    dnf: redis,
    yum: redis,
    zypper: redis,
    pacman: 'valkey',
    brew: redis,
  };
  await installSystemPackage('Installing Redis', names);
}

async function buildFromSource() {
  mkdirSync(builtDir, { recursive: true });
  say('  No Redis here and no way to install one: building it from source, which takes some minutes.');
  const [npm, ...first] = npmCommand();
  await showStep(`Building Redis (${BUILT_BY})`, async () => {
    await runTool('redis-build-install', npm, [
      ...first,
      'install',
      '--prefix',
      builtDir,
      '--ignore-scripts',
      '--no-save',
      BUILT_BY,
    ]);
    const builder = join(projectDir, 'scripts/setup/redis-build.cjs');
    await runTool('redis-build', process.execPath, [builder, builtDir, builtPathFile]);
  });
}
