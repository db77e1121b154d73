/** The commands for a folder of models. The converter implements them, and explains their options. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { findEntry, modelsDir } from '../installed-packages.ts';

const DESCRIPTIONS = {
  add: 'Add a model to the folder of models: inspect it, try it on the samples, and write its spec.',
  list: 'List the models of the folder.',
  check: 'Prepare models and run them on the samples.',
  remove: 'Remove a model from the folder.',
  default: 'Show or set the default model.',
  verify: "Compare a model's results with a notebook's, and find the matching preprocessing.",
  pixels: "Write an image's pixels as a model gets them.",
  quantize: 'Calibrate an int8 version, and report whether it is worth it.',
  prepare: 'Download, verify and convert models in advance.',
};

/** Adds them to `inferql models`. */
export function addRepositoryCommands(models: Command, context: CommandContext): void {
  for (const [name, description] of Object.entries(DESCRIPTIONS)) {
    models
      .command(name)
      .description(description)
      .argument('[arguments...]', `what \`inferql models ${name} --help\` lists`)
      .allowUnknownOption()
      .helpOption(false)
      .action((args: string[]) => runConverter(context, [name, ...args]));
  }
}

async function runConverter(context: CommandContext, args: readonly string[]): Promise<void> {
  // The converter has its own signal handlers: it ends a model that runs, and removes unfinished files.
  context.releaseSignals();
  const { INFERQL_MODELS_DIR, INFERQL_STATE_DIR } = context.env;
  const folders = [
    ['--models-dir', resolve(INFERQL_MODELS_DIR || 'models')],
    ['--state-dir', resolve(INFERQL_STATE_DIR || '.inferql')],
    ['--samples-dir', resolve(modelsDir, 'samples')],
  ].flat();
  const { runProgram } = await import('@inferql/launcher/run-program');
  process.exitCode = await runProgram([findEntry('@inferql/converter/main'), ...folders, ...args], {
    cwd: process.cwd(),
  });
}
