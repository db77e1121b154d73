/** What the tests need: programs, a build, and the one model that they use. */
import { join } from 'node:path';
import { settings as definitions, readSettings } from '@inferql/settings/settings';
import { bundledProgram } from '../build/bundle.ts';
import { buildCode, buildPage, generateDocuments } from '../build/compile.ts';
import type { Project } from '../project.ts';
import { provideRedisServer } from '../redis/find-redis.ts';
import { runTool } from '../run-tool.ts';
import { printError } from '../terminal.ts';
import { provideChromium } from './chromium.ts';
import { withSetupLock } from './setup.ts';

/** Each suite's setup includes the one before it. */
export const SUITES = ['unit', 'integration', 'e2e', 'faults', 'browser'] as const;
/** Not part of `npm test`: it needs a container engine, which builds for itself. */
export const CONTAINER_SUITE = 'containers';
export type Suite = (typeof SUITES)[number] | typeof CONTAINER_SUITE;

/** Called during the set-up, for what may run beside the rest of it. */
export interface SetupHooks {
  /** The sources are complete: typed documents are generated. */
  onGenerated?: () => void;
  /** The code in dist/ is built. */
  onBuilt?: () => void;
}

/**
 * Sets up what the given suites need.
 * @returns the environment for the tests: without the user's settings, which must not change the tests
 */
export async function setUpTests(
  project: Project,
  suites: readonly Suite[] = SUITES,
  { onGenerated, onBuilt }: SetupHooks = {},
): Promise<Record<string, string | undefined>> {
  const settings = readSettings('launcher', process.env);
  const order: readonly Suite[] = SUITES;
  const needs = (suite: Suite) => suites.some((other) => order.indexOf(other) >= order.indexOf(suite));
  const programs = await withSetupLock(project, async () => {
    const found: { redisServer?: string; chromium?: string | undefined } = {};
    if (needs('integration')) {
      found.redisServer = await provideRedisServer(project, settings);
      await generateDocuments(project);
      onGenerated?.();
      await buildCode(project);
      onBuilt?.();
      await buildPage(project);
      await prepareTestModel(project);
    } else {
      await generateDocuments(project);
    }
    if (needs('browser')) {
      found.chromium = await provideChromium(project, settings);
      if (!found.chromium) {
        printError(
          '  Chromium was not found and cannot be installed: the browser tests will fail. INFERQL_CHROMIUM may name a browser.',
        );
      }
    }
    return found;
  });
  const env: Record<string, string | undefined> = { ...process.env };
  for (const { name, formerNames = [] } of Object.values(definitions) as { name: string; formerNames?: string[] }[]) {
    for (const either of [name, ...formerNames]) delete env[either];
  }
  if (programs.redisServer) env.INFERQL_REDIS_SERVER = programs.redisServer;
  if (programs.chromium) env.INFERQL_CHROMIUM = programs.chromium;
  return env;
}

/** ResNet50 of this repository, in the clone's state folder. Other models and folders of the user are not touched. */
async function prepareTestModel(project: Project): Promise<void> {
  const { dir, distDir, setupDir } = project;
  const program = bundledProgram(distDir, 'converter/main');
  const folders = ['--models-dir', join(dir, 'models'), '--state-dir', setupDir];
  await runTool(project, 'models', process.execPath, [program, ...folders, 'prepare', 'resnet50'], {
    passOutput: true,
  });
}
