// `npm run bench`: the set-up of `npm start`, then the measurements; `npm run bench -- peers` compares with other servers.
import { spawn } from 'node:child_process';
import { loadEnvFile } from './setup/env-file.mjs';

loadEnvFile();
const { provideRedisServer } = await import('./setup/redis-binary.mjs');
const { complain, describeFailure } = await import('./setup/screen.mjs');
const { setUpProject, withSetupLock } = await import('./setup/setup.mjs');
const { benchDir, projectDir } = await import('./setup/places.mjs');
const { buildBench } = await import('./setup/build.mjs');

try {
  const redisServer = await withSetupLock(async () => {
    const binary = await provideRedisServer();
    await setUpProject();
    await buildBench();
    return binary;
  });
  const [first, ...rest] = process.argv.slice(2);
  const [main, args] = first === 'peers' ? ['peers/main.js', rest] : ['main.js', process.argv.slice(2)];
  const bench = spawn(process.execPath, [`${benchDir}/bench/${main}`, ...args], {
    cwd: projectDir,
    env: { ...process.env, INFERQL_REDIS_SERVER: redisServer },
    stdio: 'inherit',
  });
  // Ctrl-C reaches the measurements, too: they end what they started, and this process ends after them.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
  bench.on('exit', (code, signal) => process.exit(signal ? 1 : code));
} catch (error) {
  complain(describeFailure(error));
  process.exit(1);
}
