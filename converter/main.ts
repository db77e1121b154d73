// Commands that run a model or decode images are loaded when they are called: preparing models works without engines and decoders.
import path from 'node:path';
import { RESIZE_NAMES } from '@inferql/images/resize/resize-names';
import { safeLines } from '@inferql/queue/safe-text';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { AddOptions } from './commands/add.ts';
import { type CommandContext, listModels, requireModel } from './commands/command-context.ts';
import { chooseDefault } from './commands/default.ts';
import { printModels } from './commands/list.ts';
import { createProgressPrinter } from './commands/progress.ts';
import { removeModel } from './commands/remove.ts';
import { ModelError } from './errors.ts';
import { describeDiskError } from './files/disk-errors.ts';
import { parseOutputRequests } from './inspect/declared-outputs.ts';
import { createAsk } from './inspect/questions.ts';
import { createProcessRunner } from './model-process/process-runner.ts';
import { prepareModel } from './prepared-model.ts';
import { NORMALIZATIONS } from './spec/input-spec.ts';

/** With those of `inferql`: a model that is refused, and anything else that fails, ends with 1. */
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
/** Of `prepare`, if some models are refused and the others are ready; launcher/prepare-models.ts reads it. */
const EXIT_SOME_READY = 4;

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort());
// A reader that has closed the pipe ends nothing, since most commands do more than print. A full disk is reported once.
process.stderr.on('error', () => {});
let isLost = false;
process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE' || isLost) return;
  isLost = true;
  process.exitCode = 1;
  printError(`the output cannot be written: ${message}`);
});

// Names of layers, labels and files come from whoever made the model.
const print = (line: string): void => {
  process.stdout.write(`${safeLines(line)}\n`);
};
const printError = (line: string): void => {
  process.stderr.write(`${safeLines(line)}\n`);
};

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number above 0');
  return value;
}

function channelCount(text: string): number {
  if (!['1', '3', '4'].includes(text)) throw new InvalidArgumentError('expected 1, 3 or 4');
  return Number(text);
}

/** Such as 0.5,0.5,0.5 or 1/255. */
function numbers(text: string): number[] {
  const values = text.split(',').map((part) => {
    const [above = Number.NaN, below = 1, ...more] = part
      .split('/')
      .map((number) => Number(number.trim() || Number.NaN));
    return more.length > 0 ? Number.NaN : above / below;
  });
  if (!values.every(Number.isFinite)) throw new InvalidArgumentError('expected numbers such as 0.485,0.456,0.406');
  return values;
}

function share(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('expected a number from 0 to 1');
  return value;
}

const program = new Command('inferql models')
  .description('Manage the model repository.')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride()
  .option('--models-dir <folder>', 'folder with one subfolder per model', 'models')
  .option('--state-dir <folder>', "folder for this machine's downloads and prepared models", '.inferql')
  .option('--samples-dir <folder>', 'folder of sample images, if the models folder has no samples')
  .option(
    '--run-limit <seconds>',
    'time that a model may take to load, and for each image (default 60, and more for large models and images)',
    wholeNumber,
  );

const context = (): CommandContext => {
  const { modelsDir, stateDir, samplesDir, runLimit } = program.opts<{
    modelsDir: string;
    stateDir: string;
    samplesDir?: string;
    runLimit?: number;
  }>();
  const { signal } = interrupt;
  // Its process starts with the first model that is run, and does not keep this one alive.
  const runner = createProcessRunner({ signal, print, runLimitMs: runLimit && runLimit * 1_000 });
  return { modelsDir, stateDir, samplesDir, signal, runner, ask: createAsk(signal), print };
};

program
  .command('prepare')
  .description(
    'download, verify and convert models in advance, so that workers start faster; the exit code is 1 if none of them is ready, 4 if only some are',
  )
  .argument('[names...]', 'the models; all by default')
  .option('--all', 'all models, even if names are given')
  .action(async (names: string[], options: { all?: boolean }) => {
    const { modelsDir, stateDir, signal } = context();
    const isAll = names.length === 0 || options.all === true;
    if (!isAll) for (const name of names) await requireModel(modelsDir, name);
    const chosen = isAll ? await listModels(modelsDir) : names;
    if (chosen.length === 0)
      throw new ModelError(
        'SPEC_INVALID',
        `${modelsDir} contains no model: \`npx inferql models add FILE --models-dir ${JSON.stringify(modelsDir)}\` adds one`,
      );
    let refused = 0;
    const onProgress = createProgressPrinter(print);
    for (const name of chosen) {
      try {
        await prepareModel({ modelDir: path.join(modelsDir, name), stateDir, onProgress, signal });
      } catch (error) {
        if (!(error instanceof ModelError) || error.code === 'CANCELED') throw error;
        refused++;
        printError(`${name} is refused: ${error.message}`);
      }
    }
    if (refused > 0) process.exitCode = refused < chosen.length ? EXIT_SOME_READY : 1;
  });

program
  .command('add')
  .description('add a model: inspect it, try it on the samples, and write it into the repository')
  .argument(
    '<source>',
    'a folder, a .zip, a .onnx, .keras or .h5 file, the URL of a model.json, or npm:<package>@<version>#<path>',
  )
  .option('--name <name>', "name of the model (default: from the source's name)")
  .option('--labels <file>', 'file with the class names; for an npm source, a path in the package')
  .option('--replace', 'replace the model of that name')
  .option('--width <pixels>', 'width of the input, if the model leaves it open', wholeNumber)
  .option('--height <pixels>', 'height of the input, if the model leaves it open', wholeNumber)
  .option('--channels <count>', '1 (gray), 3 (RGB) or 4 (RGBA), if the model leaves it open', channelCount)
  .addOption(
    new Option('--layout <order>', "layout of an ONNX file's input, if the file leaves it open").choices([
      'nchw',
      'nhwc',
    ]),
  )
  .addOption(new Option('--normalization <kind>', 'how pixels are normalized').choices([...NORMALIZATIONS]))
  .option(
    '--mean <numbers>',
    'instead of --normalization: (pixel * scale - mean) / std, one number or one per channel',
    numbers,
  )
  .option('--std <numbers>', 'see --mean', numbers)
  .option('--scale <number>', 'see --mean; 1/255 unless the means are of bytes', (text) => numbers(text)[0])
  .addOption(new Option('--order <order>', 'see --mean').choices(['rgb', 'bgr']))
  .addOption(
    new Option('--activation <kind>', "what the model's output contains").choices([
      'softmax',
      'logits',
      'sigmoid',
      'logits-sigmoid',
    ]),
  )
  .option('--output <name>', 'output with the scores of the labels, if there are several outputs')
  .option(
    '--outputs <list>',
    'outputs to return besides the labels, such as color=labels:colors.txt,features=embedding,grid=tensor',
    parseOutputRequests,
  )
  .option('--batch <images>', 'maximum number of images per run', wholeNumber)
  .option(
    '--short-side <pixels>',
    "resize the short side to this and crop the center (default: from the model's files, or as usual for the tool that wrote it)",
    wholeNumber,
  )
  .addOption(
    new Option('--resize <name>', 'the library that resized the training images, and its filter').choices(RESIZE_NAMES),
  )
  .action(async (source: string, options: AddOptions) => {
    const { addModel } = await import('./commands/add.ts');
    await addModel(source, options, context());
  });

program
  .command('list')
  .description('list the models of the repository')
  .action(() => printModels(context()));

program
  .command('remove')
  .description('remove a model from the repository, and its prepared files from this machine')
  .argument('<name>', 'the model')
  .action((name: string) => removeModel(name, context()));

program
  .command('default')
  .description('show or set the default model, for requests that do not name one')
  .argument('[name]', 'the new default model; without it, the current one is printed')
  .action((name: string | undefined) => chooseDefault(name, context()));

program
  .command('check')
  .description('prepare models and run them on the samples; the exit code is 1 if one cannot be served')
  .argument('[names...]', 'the models; all by default')
  .action(async (names: string[]) => {
    const { checkModels } = await import('./commands/check.ts');
    if ((await checkModels(names, context())) > 0) process.exitCode = 1;
  });

program
  .command('pixels')
  .description("write an image's pixels as a model gets them, to compare them with a notebook's")
  .argument('<name>', 'the model')
  .argument('<image>', 'an image file')
  .option('--raw <file>', 'write the pixels as bytes: height x width x channels, uint8')
  .option('--png <file>', 'write the pixels as a PNG image')
  .action(async (name: string, image: string, options: { raw?: string; png?: string }) => {
    const { writePixels } = await import('./commands/pixels.ts');
    await writePixels(name, image, options, context());
  });

program
  .command('verify')
  .description(
    "compare a model's results with a notebook's, and find the matching preprocessing; the exit code is 1 if they differ",
  )
  .argument('<model>', 'the model, or the path of its folder')
  .requiredOption('--images <folder>', 'folder of the images')
  .requiredOption(
    '--expected <file>',
    "the notebook's results: a CSV file with a file name and one probability per class in each line",
  )
  .option('--time-limit <seconds>', 'stop searching for a better match after this time (default 180)', wholeNumber)
  .action(async (model: string, options: { images: string; expected: string; timeLimit?: number }) => {
    const { verifyModel } = await import('./commands/verify.ts');
    if (!(await verifyModel(model, options, context()))) process.exitCode = 1;
  });

program
  .command('quantize')
  .description('calibrate an int8 version, compare it with float32, and report whether it is worth it')
  .argument('<name>', 'the model')
  .option('--images <folder>', 'images, half for calibration and half for measuring (default: views of the samples)')
  .option(
    '--min-agreement <share>',
    'refuse int8 if a smaller share of images has the same label or labels, 0 to 1 (default 0.9)',
    share,
  )
  .action(async (name: string, options: { images?: string; minAgreement?: number }) => {
    const { quantizeModel } = await import('./commands/quantize.ts');
    await quantizeModel(name, options.images, context(), options.minAgreement);
  });

try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed what is wrong, or the help.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  else {
    const { aborted } = interrupt.signal;
    const message = error instanceof ModelError ? error.message : (describeDiskError(error) ?? (aborted && 'canceled'));
    if (!message) throw error;
    printError(message);
    const isUsage = error instanceof ModelError && error.code === 'ARGUMENT_INVALID';
    process.exitCode = aborted ? EXIT_INTERRUPTED : isUsage ? EXIT_USAGE : 1;
  }
}
