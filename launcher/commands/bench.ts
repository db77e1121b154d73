/** `npm run bench`: the set-up of `npm start`, then the measurements; `npm run bench -- peers` compares with other servers, `… tenants` measures fair shares, `… classifiers` converts every model of keras.applications and torchvision, `… fuzz-images` feeds damaged files to the decoders. */
import { join } from 'node:path';
import { readSettings } from '@inferql/settings/settings';
import type { Project } from '../project.ts';
import { provideRedisServer } from '../redis/binary.ts';
import { runProgram } from '../run-program.ts';
import { buildBench } from '../setup/build.ts';
import { setUpProject, withSetupLock } from '../setup/setup.ts';

export async function benchmark(project: Project, args: readonly string[]): Promise<void> {
  const settings = readSettings('launcher', process.env);
  const redisServer = await withSetupLock(project, async () => {
    const binary = await provideRedisServer(project, settings);
    await setUpProject(project);
    await buildBench(project);
    return binary;
  });
  const [first = '', ...others] = args;
  const [main, ...rest] = ['peers', 'tenants', 'classifiers', 'fuzz-images'].includes(first)
    ? [`${first}/main.js`, ...others]
    : ['main.js', ...args];
  const program = join(project.benchDir, 'bench', main);
  process.exit(
    await runProgram([program, ...rest], {
      cwd: project.dir,
      env: { ...process.env, INFERQL_REDIS_SERVER: redisServer },
    }),
  );
}
