// `npm test`: the same set-up as a start, the tests' own programs, then every suite. Arguments go to vitest.
import { spawn } from 'node:child_process';
import { loadEnvFile } from './setup/env-file.mjs';

loadEnvFile();
const { runCommand } = await import('./setup/screen.mjs');
const { setUpTests } = await import('./setup/tests.mjs');

await runCommand(async () => {
  const { vitest, env } = await setUpTests();
  const tests = spawn(process.execPath, [vitest, 'run', ...process.argv.slice(2)], { stdio: 'inherit', env });
  // A Ctrl-C reaches vitest by itself; it is to end first, so that its servers are stopped.
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
  process.on('SIGTERM', () => tests.kill('SIGTERM'));
  tests.once('exit', (code) => process.exit(code ?? 1));
});
