import { wayWithoutLabels } from '../answer-shape.ts';
import { ModelError } from '../errors.ts';
import type { AnswerOutput } from './answer-outputs.ts';
import { describeSizes } from './ports.ts';

const LIKELY_NAME = /logit|prob|score|class|pred|softmax|output/i;

/** An output, and why it was taken. */
export interface ChosenOutput {
  output: AnswerOutput;
  /** False if several outputs could be the answer. */
  certain: boolean;
  why: string;
}

/**
 * Finds the output with the scores of the classes.
 * @param name what a user says
 * @param classCount of the labels, if they are known
 * @throws ModelError SOURCE_INVALID if no output can be it, SPEC_INVALID for an unknown name
 */
export function chooseOutput(outputs: readonly AnswerOutput[], name?: string, classCount?: number): ChosenOutput {
  const names = outputs.map((output) => `${output.name} (${describeSizes(output.sizes)})`).join(', ');
  if (name !== undefined) {
    const output = outputs.find((candidate) => candidate.name === name);
    if (!output) throw new ModelError('SPEC_INVALID', `output.name: expected one of ${names}, found ${name}`);
    if (output.unfit) throw new ModelError('SOURCE_INVALID', `the ONNX file's output ${name} ${output.unfit}`);
    return { output, certain: true, why: 'named' };
  }
  const fit = outputs.filter(({ unfit }) => unfit === undefined);
  const [first] = fit;
  if (!first) {
    const reasons = outputs.map((output) => `${output.name} ${output.unfit}`).join('; ');
    const way = wayWithoutLabels(outputs.map((output) => ({ name: output.name, sizes: output.imageSizes })));
    throw new ModelError('SOURCE_INVALID', `the ONNX file has no output with a score per class: ${reasons}; ${way}`);
  }
  if (fit.length === 1)
    return { output: first, certain: true, why: outputs.length > 1 ? `of ${names}` : 'the only one' };
  const sized = classCount === undefined ? [] : fit.filter((output) => output.classCount === classCount);
  if (sized.length === 1 && sized[0])
    return { output: sized[0], certain: true, why: `of ${names}: it fits the labels` };
  const ended = fit.filter(({ ending }) => ending.certain && ending.activation !== 'logits');
  // Another head of logits may be what is wanted; logits of the same scores, and features, are not.
  const isAlone = fit.every(({ classCount, ending }) => classCount === ended[0]?.classCount || !ending.certain);
  if (ended.length === 1 && ended[0] && isAlone)
    return { output: ended[0], certain: true, why: `of ${names}: it ends in ${ended[0].ending.op}` };
  const named = fit.filter((output) => LIKELY_NAME.test(output.name));
  return { output: named[0] ?? first, certain: false, why: `of ${names}` };
}
