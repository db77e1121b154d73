/** The commands of a clone: what `npm start`, `npm test` and the other scripts of package.json run, through scripts/run.mjs. */
import { benchmark } from './commands/bench.ts';
import { build } from './commands/build.ts';
import { check } from './commands/check.ts';
import { develop } from './commands/dev.ts';
import { manageModels } from './commands/models.ts';
import { pack } from './commands/pack.ts';
import { generateCode, printSchema } from './commands/schema.ts';
import { start } from './commands/start.ts';
import { test } from './commands/test.ts';
import { openProject, type Project } from './project.ts';
import { describeFailure, outliveReaders, printError } from './terminal.ts';

type Command = (project: Project, args: readonly string[]) => Promise<void>;

const COMMANDS: Record<string, Command> = {
  start,
  dev: develop,
  build,
  test,
  check,
  bench: benchmark,
  models: manageModels,
  pack,
  schema: printSchema,
  codegen: generateCode,
};

/**
 * Runs a command. A failure is printed, and ends the process with 1.
 * @param projectDir the clone
 * @param args the command's name and its arguments
 */
export async function runCommand(projectDir: string, [name = '', ...args]: readonly string[]): Promise<void> {
  outliveReaders();
  try {
    const command = COMMANDS[name];
    if (!command) throw new Error(`Unknown command '${name}'. Expected one of ${Object.keys(COMMANDS).join(', ')}.`);
    await command(openProject(projectDir), args);
  } catch (error) {
    printError(`\n${describeFailure(error)}`);
    process.exit(1);
  }
}
