import path from 'node:path';
import { Command } from 'commander';
import { type Folders, listModels } from './commands/folders.ts';
import { quantizeModel } from './commands/quantize.ts';
import { ModelError } from './errors.ts';
import { type PrepareProgress, prepareModel } from './prepare.ts';

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort());

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const program = new Command('models')
  .description('The model repository.')
  .option('--models-dir <folder>', 'the folder with a folder a model', 'models')
  .option('--state-dir <folder>', 'the folder for the state of this machine', '.inferql');

const folders = (): Folders => {
  const { modelsDir, stateDir } = program.opts<{ modelsDir: string; stateDir: string }>();
  return { modelsDir, stateDir, signal: interrupt.signal, print };
};

program
  .command('prepare')
  .description('pull, verify and convert models, so that workers find them ready')
  .argument('[names...]', 'the models; all by default')
  .option('--all', 'all models of the repository')
  .action(async (names: string[], options: { all?: boolean }) => {
    const { modelsDir, stateDir, signal } = folders();
    const chosen = names.length > 0 && !options.all ? names : await listModels(modelsDir);
    if (chosen.length === 0) throw new ModelError('SPEC_INVALID', `${modelsDir} holds no model`);
    for (const name of chosen) {
      await prepareModel({ modelDir: path.join(modelsDir, name), stateDir, onProgress: createPrinter(), signal });
    }
  });

program
  .command('quantize')
  .description('calibrate an int8 version, measure it against float32, and say whether it is worth it')
  .argument('<name>', 'the model')
  .option('--images <folder>', 'photographs: half for calibration, half to measure on; else views of the samples')
  .action(async (name: string, options: { images?: string }) => {
    await quantizeModel(name, options.images, folders());
  });

/** Prints a line a step, and a line every tenth of a download. */
function createPrinter(): (progress: PrepareProgress) => void {
  let printed = '';
  return ({ step, message, doneBytes, totalBytes }) => {
    const percent = doneBytes !== undefined && totalBytes ? Math.floor((doneBytes / totalBytes) * 10) * 10 : undefined;
    const megabytes = doneBytes === undefined ? undefined : Math.floor(doneBytes / 1e7) * 10;
    const detail = percent === undefined ? (megabytes === undefined ? '' : `: ${megabytes} MB`) : `: ${percent}%`;
    const line = `${message}${detail}`;
    if (line === printed) return;
    printed = line;
    print(`${step === 'ready' ? '' : '… '}${line}`);
  };
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof ModelError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
