import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { ModelError } from './errors.ts';
import { type PrepareProgress, prepareModel } from './prepare.ts';
import { SPEC_FILE } from './spec.ts';

interface Folders {
  modelsDir: string;
  stateDir: string;
}

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort());

const program = new Command('models')
  .description('The model repository.')
  .option('--models-dir <folder>', 'the folder with a folder a model', 'models')
  .option('--state-dir <folder>', 'the folder for the state of this machine', '.inferql');

program
  .command('prepare')
  .description('pull, verify and convert models, so that workers find them ready')
  .argument('[names...]', 'the models; all by default')
  .option('--all', 'all models of the repository')
  .action(async (names: string[], options: { all?: boolean }) => {
    const folders = program.opts<Folders>();
    const chosen = names.length > 0 && !options.all ? names : await listModels(folders.modelsDir);
    if (chosen.length === 0) throw new ModelError('SPEC_INVALID', `${folders.modelsDir} holds no model`);
    for (const name of chosen) await prepareNamed(name, folders);
  });

async function prepareNamed(name: string, { modelsDir, stateDir }: Folders): Promise<void> {
  await prepareModel({
    modelDir: path.join(modelsDir, name),
    stateDir,
    onProgress: createPrinter(),
    signal: interrupt.signal,
  });
}

async function listModels(modelsDir: string): Promise<string[]> {
  const entries = await readdir(modelsDir, { recursive: true });
  return entries
    .filter((entry) => path.basename(entry) === SPEC_FILE && path.dirname(path.dirname(entry)) === '.')
    .map((entry) => path.dirname(entry))
    .sort();
}

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
    process.stdout.write(`${step === 'ready' ? '' : '… '}${line}\n`);
  };
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof ModelError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
