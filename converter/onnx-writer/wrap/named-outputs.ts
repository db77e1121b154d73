/** Outputs of a model's file that the spec names under `outputs`. */
import { elementsOf } from '@inferql/queue/outputs';
import { ModelError } from '../../errors.ts';
import type { AnswerOutput } from '../../onnx-reader/answer-outputs.ts';
import { describeSizes, NUMBER_TYPES } from '../../onnx-reader/ports.ts';
import type { PreparedOutput } from '../../spec/output-spec.ts';
import type { OutputSpec } from '../../spec/spec.ts';

/**
 * Finds a declared output in an ONNX file.
 * @throws ModelError SPEC_INVALID if it is not there, or of another size, or not scores of labels, or would get a second softmax or sigmoid
 */
export function findOutput(outputs: readonly AnswerOutput[], declared: PreparedOutput): AnswerOutput {
  const field = `outputs.${declared.name}`;
  const found = outputs.find(({ name }) => name === declared.from);
  if (!found) {
    const names = outputs.map(({ name, sizes }) => `${name} (${describeSizes(sizes)})`).join(', ');
    throw new ModelError('SPEC_INVALID', `${field}.from: expected one of ${names}, found ${declared.from}`);
  }
  if (!NUMBER_TYPES.has(found.type)) {
    throw new ModelError('SPEC_INVALID', `${field}: the ONNX file's output ${found.name} is not a tensor of numbers`);
  }
  if (declared.type === 'labels' && found.unfit !== undefined) {
    throw new ModelError('SPEC_INVALID', `${field}: the ONNX file's output ${found.name} ${found.unfit}`);
  }
  const elements = elementsOf(declared);
  const isBinary = declared.type === 'labels' && elements === 2 && found.classCount === 1;
  if (found.classCount !== undefined && found.classCount !== elements && !isBinary) {
    throw new ModelError(
      'SPEC_INVALID',
      `${field}: the ONNX file's output ${found.name} has ${found.classCount} numbers per image (${describeSizes(found.sizes)}), expected ${elements}`,
    );
  }
  if (declared.type === 'labels') checkActivation(found, declared.activation ?? 'softmax', `${field}.activation`);
  return found;
}

/**
 * @param field the spec's field, for messages
 * @throws ModelError SPEC_INVALID if a softmax or sigmoid would be applied to probabilities
 */
export function checkActivation(
  { ending, classCount }: AnswerOutput,
  activation: OutputSpec['activation'],
  field: string,
): void {
  if (activation === 'logits' && classCount === 1) {
    throw new ModelError('SPEC_INVALID', `${field}: one number per image is for a sigmoid: expected logits-sigmoid`);
  }
  if (!ending.certain || ending.activation === 'logits') return;
  if (activation === 'softmax' || activation === 'sigmoid') return;
  throw new ModelError(
    'SPEC_INVALID',
    `${field}: the ONNX file ends in ${ending.op} already: expected ${ending.activation}, found ${activation}`,
  );
}
