import type { PredictionResult } from '@inferql/client';

/**
 * The outputs of a result that a page does not draw, by name and size.
 * @returns undefined if there are none
 */
export function describeOutputs({ embeddings = [], tensors = [], extra }: PredictionResult): string | undefined {
  const parts = [
    ...embeddings.map(({ name, size }) => `${name} (embedding of ${size} ${size === 1 ? 'number' : 'numbers'})`),
    ...tensors.map(
      ({ name, shape, dtype }) => `${name} (tensor of ${shape.join(' × ') || '1'} ${dtype.toLowerCase()})`,
    ),
    ...(extra === undefined || extra === null ? [] : ['extra (JSON)']),
  ];
  return parts.length === 0 ? undefined : `Also in the result: ${parts.join(', ')}.`;
}
