/** `npm run models -- <command>`: the model repository's commands, once their code is built. */
import { join } from 'node:path';
import { bundledProgram } from '../build/bundle.ts';
import { buildCode, generateDocuments } from '../build/compile.ts';
import type { Project } from '../project.ts';
import { runProgram } from '../run-program.ts';
import { withSetupLock } from '../setup/setup.ts';

export async function manageModels(project: Project, args: readonly string[]): Promise<void> {
  await withSetupLock(project, async () => {
    await generateDocuments(project);
    await buildCode(project);
  });
  const { dir, distDir, modelsDir, stateDir } = project;
  const folders = ['--models-dir', modelsDir, '--state-dir', stateDir, '--samples-dir', join(modelsDir, 'samples')];
  // The operators' command removes what Redis keeps of a model.
  const program =
    args[0] === 'forget'
      ? [join(dir, 'cli/bin/inferql.mjs'), 'models', ...args]
      : [bundledProgram(distDir, 'converter/main'), ...folders, ...args];
  // Paths that a person writes are relative to the current folder.
  const cwd = process.env.INIT_CWD ?? dir;
  // The state folder is relative to the project, wherever the command runs.
  const env = { ...process.env, INFERQL_STATE_DIR: stateDir };
  process.exit(await runProgram(program, { cwd, env }));
}
