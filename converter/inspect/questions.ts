import { createInterface } from 'node:readline/promises';
import { ModelError } from '../errors.ts';
import { NORMALIZATIONS, type NormalizationSpec } from '../spec/input-spec.ts';
import { readLabels } from '../spec/labels.ts';
import { nameNormalization } from './normalization-name.ts';

/** Asks a person; the answer is trimmed, and empty if they accept the guess. */
export type Ask = (question: string) => Promise<string>;

/** Asks at a terminal; undefined without a terminal. */
export function createAsk(signal: AbortSignal): Ask | undefined {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
  return async (question) => {
    const reader = createInterface({ input: process.stdin, output: process.stdout });
    try {
      return (await reader.question(question, { signal })).trim();
    } catch (cause) {
      throw new ModelError('CANCELED', 'canceled', { cause });
    } finally {
      reader.close();
    }
  };
}

/** Asks until the answer is valid. */
async function askUntil<T>(ask: Ask, question: string, read: (answer: string) => Promise<T> | T): Promise<T> {
  for (let hint = ''; ; ) {
    const answer = await ask(`${hint}${question}`);
    try {
      return await read(answer);
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      hint = `  ${error.message}\n`;
    }
  }
}

/**
 * Asks for the normalization.
 * @returns undefined if the guess is accepted
 */
export function askNormalization(ask: Ask, guess: string): Promise<NormalizationSpec | undefined> {
  const names = NORMALIZATIONS.join(', ');
  const question = `  normalization is a guess. ${names}, or mean and deviation as 0.5,0.5,0.5 / 0.5,0.5,0.5 [${guess}]: `;
  return askUntil(ask, question, (answer) => (answer === '' ? undefined : parseNormalization(answer)));
}

function parseNormalization(answer: string): NormalizationSpec {
  const name = NORMALIZATIONS.find((candidate) => candidate === answer);
  if (name) return name;
  const [mean, std, ...more] = answer
    .split('/')
    .map((part) => part.split(',').map((number) => Number(number.trim() || 'x')));
  const isUsable = (values: number[] | undefined): values is number[] =>
    values !== undefined && [1, 3, 4].includes(values.length) && values.every(Number.isFinite);
  if (!isUsable(mean) || !isUsable(std) || more.length > 0 || std.some((value) => value <= 0)) {
    throw new ModelError(
      'SPEC_INVALID',
      `expected ${NORMALIZATIONS.join(', ')}, or numbers such as 0.5,0.5,0.5 / 0.5,0.5,0.5`,
    );
  }
  const scale = mean.some((value) => Math.abs(value) > 4) ? 1 : 1 / 255;
  return nameNormalization({ scale, mean, std, order: 'rgb' });
}

/**
 * Asks for a file with class names.
 * @returns undefined if classes are to be numbered
 */
export function askLabels(ask: Ask, classCount: number): Promise<string[] | undefined> {
  return askUntil(
    ask,
    `  no class names were found. A file with ${classCount} of them [number them]: `,
    async (answer) => {
      if (answer === '') return undefined;
      const labels = await readLabels(answer);
      if (labels.length === classCount) return labels;
      throw new ModelError('SPEC_INVALID', `${answer} names ${labels.length} classes, the model has ${classCount}`);
    },
  );
}

/** Asks which of several outputs has the scores. */
export function askOutput(ask: Ask, outputs: readonly { name: string; shape?: string }[]): Promise<string> {
  const list = outputs.map(({ name, shape }) => (shape === undefined ? name : `${name} (${shape})`)).join(', ');
  return askUntil(ask, `  which output has a score per class? ${list}: `, (answer) => {
    if (outputs.some(({ name }) => name === answer)) return answer;
    throw new ModelError('SPEC_INVALID', `expected one of ${outputs.map(({ name }) => name).join(', ')}`);
  });
}
