/** The steps from installed packages to something that runs, one start at a time. Each takes milliseconds if its stamp is right. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { bundledProgram } from '../build/bundle.ts';
import { buildCode, buildPage, generateDocuments } from '../build/compile.ts';
import { waitForLock } from '../lock.mjs';
import { prepareModels } from '../prepare-models.ts';
import { createStateDirs, type Project } from '../project.ts';
import { endLeftoverTool } from '../run-tool.ts';
import { print } from '../terminal.ts';

/** Runs `work` while no other process sets up this project. */
export async function withSetupLock<T>(project: Project, work: () => Promise<T>): Promise<T> {
  createStateDirs(project);
  const { setupDir, unfinishedDir } = project;
  const lock = await waitForLock(join(setupDir, 'setup.lock'), (pid) =>
    print(`  Another process (${pid}) is setting up this folder; waiting for it.`),
  );
  try {
    await endLeftoverTool(project);
    for (const name of readdirSync(unfinishedDir)) {
      rmSync(join(unfinishedDir, name), { recursive: true, force: true, maxRetries: 10 });
    }
    return await work();
  } finally {
    lock.release();
  }
}

/** Typed documents, dist/ and the page. Needs the setup's lock. */
export async function buildProject(project: Project): Promise<void> {
  await generateDocuments(project);
  await buildCode(project);
  await buildPage(project);
}

/** Everything that a start needs: the build and the models. Needs the setup's lock. */
export async function setUpProject(project: Project): Promise<void> {
  await buildProject(project);
  const { distDir } = project;
  const converter = bundledProgram(distDir, 'converter/main');
  await prepareModels({ ...project, converterDir: join(distDir, 'converter'), converter });
}
