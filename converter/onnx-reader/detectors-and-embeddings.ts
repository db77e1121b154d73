import { type SizedOutput, wayWithoutLabels } from '../answer-shape.ts';
import { ModelError } from '../errors.ts';

/** What detectors call their outputs. */
const DETECTION =
  /^(pred_)?(b?boxes|bbox(es)?|bboxes|dets|detections?|detection_boxes|num_det(ection)?s|pred_masks)(:0)?$/i;
const EMBEDDING = /(^|[_.])(embed(ding)?s?|features?|pooler_output|pooled|hidden_state)(:0)?$/i;

/** Whether a model's outputs are named as those of a detector of objects, whose boxes would otherwise pass for scores. */
export function isDetector(names: readonly string[]): boolean {
  return names.some((name) => DETECTION.test(name));
}

/**
 * Refuses a detector of objects.
 * @throws ModelError SOURCE_INVALID
 */
export function refuseDetector(outputs: readonly (SizedOutput & { shown: string })[]): never {
  const names = outputs.map(({ name, shown }) => `${name} (${shown})`).join(', ');
  throw new ModelError(
    'SOURCE_INVALID',
    `the model detects objects in images, as its outputs show: ${names}. Labels come only from models that classify images; ${wayWithoutLabels(outputs)}`,
  );
}

/** Whether an output is named as a vector that describes an image, such as that of a vision tower. */
export function isNamedEmbedding(name: string): boolean {
  return EMBEDDING.test(name);
}

/**
 * Refuses a vector that describes an image, as from metric learning and vision towers, since it could be mistaken for scores.
 * @param size the elements, if the file leaves them open
 * @throws ModelError SPEC_INVALID
 */
export function refuseEmbedding(name: string, why: string, size?: number): never {
  const detail = size === undefined ? '' : `:${size}`;
  throw new ModelError(
    'SPEC_INVALID',
    `the output ${name} is an embedding and not a score per class (${why}): --outputs ${name}=embedding${detail} serves it so, --output ${name} takes it as scores`,
  );
}
