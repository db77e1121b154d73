import { floatTensor, int64Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { imageSize } from './conv.ts';

/** How output pixels are mapped to input pixels; TensorFlow's two flags, of which one at most is set. */
export interface ResizeMapping {
  alignCorners?: boolean;
  halfPixelCenters?: boolean;
}

/** Resizes images as TensorFlow does, without antialiasing. */
export function resizeImage(
  builder: GraphBuilder,
  input: Value,
  size: readonly [number, number],
  kind: 'nearest' | 'bilinear',
  { alignCorners = false, halfPixelCenters = false }: ResizeMapping,
): Value {
  const { batch, height, width, channels } = imageSize(input);
  if (height === size[0] && width === size[1]) return input;
  const mapping = alignCorners ? 'align_corners' : halfPixelCenters ? 'half_pixel' : 'asymmetric';
  const scales = [1, 1, size[0] / height, size[1] / width];
  const exact = scales.every((scale) => Number.isInteger(scale));
  const none = builder.constant(floatTensor([0], []));
  // Scales if they are exact: then the batch size need not be known.
  const target = exact
    ? [none, builder.constant(floatTensor([4], scales))]
    : [none, none, resizeTarget(builder, input, size, channels)];
  return builder.emit(
    'Resize',
    [builder.channelsFirst(input), ...target],
    { shape: [batch, size[0], size[1], channels], channelsFirst: true },
    {
      mode: { text: kind === 'nearest' ? 'nearest' : 'linear' },
      coordinate_transformation_mode: { text: mapping },
      ...(kind === 'nearest'
        ? { nearest_mode: { text: alignCorners || halfPixelCenters ? 'round_prefer_ceil' : 'floor' } }
        : {}),
    },
  );
}

/** [batch, channels, height, width] with the batch read from the input while the model runs. */
function resizeTarget(builder: GraphBuilder, input: Value, size: readonly [number, number], channels: number): Value {
  const first = builder.channelsFirst(input);
  const shape = builder.emit('Shape', [first], { shape: [1], type: 'int64' }, { start: { int: 0 }, end: { int: 1 } });
  const rest = builder.constant(int64Tensor([channels, size[0], size[1]]));
  return builder.emit('Concat', [shape, rest], { shape: [4], type: 'int64' }, { axis: { int: 0 } });
}
