import { ModelError } from '../errors.ts';
import type { AnswerOutput } from './answer-outputs.ts';
import { describeSizes } from './ports.ts';

/** What detectors call their outputs. */
const DETECTION =
  /^(pred_)?(b?boxes|bbox(es)?|bboxes|dets|detections?|detection_boxes|num_det(ection)?s|pred_masks)(:0)?$/i;
const EMBEDDING = /(^|[_.])(embed(ding)?s?|features?|pooler_output|pooled|hidden_state)(:0)?$/i;

/**
 * Refuses a model whose outputs are named as those of a detector of objects, whose boxes would otherwise pass for scores.
 * @param declared the outputs that are served as they are
 * @throws ModelError SOURCE_INVALID
 */
export function refuseDetection(outputs: readonly AnswerOutput[], declared: readonly string[]): void {
  const rest = outputs.filter(({ name }) => !declared.includes(name));
  if (!rest.some(({ name }) => DETECTION.test(name))) return;
  const names = outputs.map(({ name, sizes }) => `${name} (${describeSizes(sizes)})`).join(', ');
  throw new ModelError(
    'SOURCE_INVALID',
    `the ONNX file detects objects in images, as its outputs show: ${names}. Only models that classify images are served`,
  );
}

/** Whether an output is named as a vector that describes an image, such as that of a vision tower. */
export function isNamedEmbedding(name: string): boolean {
  return EMBEDDING.test(name);
}
