import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readSample } from '../files/sample-images.ts';
import { prepareModel } from '../prepared-model.ts';
import { SPEC_FILE } from '../spec/spec.ts';
import { findModelFile } from '../spec/spec-file.ts';
import { parseAnswers } from '../verify/answers.ts';
import { describeInput } from '../verify/candidates.ts';
import { createVariants } from '../verify/variants.ts';
import { type Comparison, compareAnswers, findBestInput, isSame } from '../verify/verify.ts';
import { type CommandContext, listModels, requireModel } from './command-context.ts';

const TIME_LIMIT_SECONDS = 180;

/**
 * Compares a model's answers with those of the notebook that it comes from. If they differ, tries the other ways to normalize, crop
 * and resize, and reports the best match.
 * @param model its name in the repository, or the path of its folder
 * @param options.images the folder of the images that `expected` names
 * @param options.expected a CSV file: file name, then one probability per class
 * @param options.timeLimit seconds after which no further alternative is tried. @default 180
 * @returns true if the answers are the same
 * @throws ModelError
 */
export async function verifyModel(
  model: string,
  options: { images: string; expected: string; timeLimit?: number },
  context: CommandContext,
): Promise<boolean> {
  const { stateDir, signal, print } = context;
  const prepared = await prepareModel({ modelDir: await findModel(model, context), stateDir, signal });
  if (prepared.labels.length === 0)
    throw new ModelError('SPEC_INVALID', `${prepared.name} has no labels, whose probabilities could be compared`);
  const text = await readFile(options.expected, 'utf8').catch((cause: Error) => {
    throw new ModelError('SOURCE_INVALID', `${options.expected} cannot be read: ${cause.message}`, { cause });
  });
  const expected = parseAnswers(text, options.expected, prepared.labels.length);
  const variants = createVariants(prepared, context);
  try {
    const { input } = prepared.spec;
    const verifier = {
      answer: async (file: string, tried: typeof input) =>
        variants.run(await readSample(inFolder(options.images, file), tried), tried),
    };
    const comparison = await compareAnswers(verifier, expected, input);
    if (isSame(comparison)) {
      print(`same answers as ${options.expected}: ${describe(comparison)} (${describeInput(input)})`);
      return true;
    }
    print(`different answers: ${describe(comparison)} (${describeInput(input)})`);
    const seconds = options.timeLimit ?? TIME_LIMIT_SECONDS;
    print(`trying other ways to normalize, crop and resize, for at most ${seconds} s`);
    const best = await findBestInput(verifier, expected, input, seconds * 1000);
    print(`best match: ${describeInput(best.input)}: ${describe(best.comparison)}`);
    if (isSame(best.comparison)) {
      print(`put this into \`input\` of ${SPEC_FILE}, instead of: ${describeInput(input)}`);
    } else if (!best.isComplete) {
      print('the time limit ended the search: raise it with --time-limit, or use fewer images');
    } else {
      print(
        'no normalization, crop and resize explains the difference: check the order of the classes, the activation and the weights',
      );
    }
    return false;
  } finally {
    await variants.close();
  }
}

/** A name is that of a model in the repository, if it has one; a path is a folder, wherever that is. */
async function findModel(model: string, { modelsDir }: CommandContext): Promise<string> {
  const isName = path.basename(model) === model;
  if (isName && (await listModels(modelsDir).catch((): string[] => [])).includes(model))
    return path.join(modelsDir, model);
  const folder = path.resolve(model);
  if ((await findModelFile(folder)) !== undefined) return folder;
  if (isName) return requireModel(modelsDir, model);
  throw new ModelError(
    'SPEC_INVALID',
    `${folder} is not the folder of a model: expected ${SPEC_FILE} or engine.js in it`,
  );
}

/** A name of an answer is a file of that folder, whatever folder the notebook had it in. */
const inFolder = (folder: string, file: string): string => path.join(folder, path.basename(file.replaceAll('\\', '/')));

function describe({ images, sameFirst, largest }: Comparison): string {
  return `same best label on ${sameFirst} of ${images} images, largest difference of a probability ${largest.toFixed(4)}`;
}
