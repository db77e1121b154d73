/**
 * `npm run bench`: sets up as `npm start` does, then runs the benchmarks. `npm run bench -- peers` compares with other servers, `… tenants`
 * measures fair shares, `… classifiers` converts every model of keras.applications and torchvision, `… fuzz-images` feeds damaged files to the
 * decoders, `… fuzz-requests` sends malformed requests to a server, `… soak` runs good clients together with hostile ones.
 */
import { join } from 'node:path';
import { readSettings } from '@inferql/settings/settings';
import { buildBench } from '../build/compile.ts';
import type { Project } from '../project.ts';
import { provideRedisServer } from '../redis/find-redis.ts';
import { runProgram } from '../run-program.ts';
import { buildProject, setUpProject, withSetupLock } from '../setup/setup.ts';

const PROGRAMS = ['peers', 'tenants', 'classifiers', 'fuzz-images', 'fuzz-requests', 'soak'];
const WITHOUT_MODELS = ['fuzz-images', 'fuzz-requests', 'soak'];

export async function benchmark(project: Project, args: readonly string[]): Promise<void> {
  const [first = '', ...others] = args;
  const settings = readSettings('launcher', process.env);
  const redisServer = await withSetupLock(project, async () => {
    const binary = await provideRedisServer(project, settings);
    if (WITHOUT_MODELS.includes(first)) await buildProject(project);
    else await setUpProject(project);
    await buildBench(project);
    return binary;
  });
  const [main, ...rest] = PROGRAMS.includes(first) ? [`${first}/main.js`, ...others] : ['main.js', ...args];
  const program = join(project.benchDir, 'bench', main);
  process.exit(
    await runProgram([program, ...rest], {
      cwd: project.dir,
      // onnxruntime, also that of the other servers, would report the models to its vendor.
      env: { ORT_DISABLE_TELEMETRY: '1', ...process.env, INFERQL_REDIS_SERVER: redisServer },
    }),
  );
}
