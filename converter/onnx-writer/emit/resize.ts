import { floatTensor, int64Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { imageSize } from './conv.ts';

/** How output pixels are mapped to input pixels; TensorFlow's two flags, of which one at most is set. */
export interface ResizeMapping {
  alignCorners?: boolean;
  halfPixelCenters?: boolean;
}

/**
 * Resizes images as TensorFlow does, without antialiasing. Nearest pixels that ONNX's Resize would choose otherwise are gathered: both round
 * the scale to float32, but one of them divides by its inverse, which differs if a place falls between two pixels.
 */
export function resizeImage(
  builder: GraphBuilder,
  input: Value,
  size: readonly [number, number],
  kind: 'nearest' | 'bilinear',
  { alignCorners = false, halfPixelCenters = false }: ResizeMapping,
): Value {
  const { batch, height, width, channels } = imageSize(input);
  if (height === size[0] && width === size[1]) return input;
  if (kind === 'nearest') {
    const axes = [
      { axis: 2, from: height, to: size[0] },
      { axis: 3, from: width, to: size[1] },
    ].map((side) => ({ ...side, pixels: nearestPixels(side.from, side.to, { alignCorners, halfPixelCenters }) }));
    const differs = axes.some(({ from, to, pixels }) =>
      resizePixels(from, to, { alignCorners, halfPixelCenters }).some((pixel, i) => pixel !== pixels[i]),
    );
    if (differs) return gatherPixels(builder, input, axes);
  }
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
    { shape: [batch, size[0], size[1], channels], channelsFirst: true, type: input.type },
    {
      mode: { text: kind === 'nearest' ? 'nearest' : 'linear' },
      coordinate_transformation_mode: { text: mapping },
      ...(kind === 'nearest'
        ? { nearest_mode: { text: alignCorners || halfPixelCenters ? 'round_prefer_ceil' : 'floor' } }
        : {}),
    },
  );
}

/** Which pixel TensorFlow's ResizeNearestNeighbor takes for each place along a side. All steps are in float32, as there. */
function nearestPixels(from: number, to: number, { alignCorners, halfPixelCenters }: ResizeMapping): number[] {
  const { fround, floor, round } = Math;
  const isAligned = alignCorners && to > 1;
  const scale = isAligned ? fround((from - 1) / (to - 1)) : fround(from / to);
  const pixel = (i: number) => {
    if (alignCorners) return round(fround(i * scale));
    return floor(fround((halfPixelCenters ? i + 0.5 : i) * scale));
  };
  return Array.from({ length: to }, (_, i) => Math.min(pixel(i), from - 1));
}

/** Which pixel onnxruntime's Resize takes for each place along a side. */
function resizePixels(from: number, to: number, { alignCorners, halfPixelCenters }: ResizeMapping): number[] {
  const { fround, floor, round } = Math;
  const scale = fround(to / from);
  const pixel = (i: number) => {
    if (alignCorners) return to > 1 ? round(fround(fround(i * (from - 1)) / (to - 1))) : 0;
    if (halfPixelCenters) return round(fround(fround((i + 0.5) / scale) - 0.5));
    return floor(fround(i / scale));
  };
  return Array.from({ length: to }, (_, i) => Math.min(Math.max(pixel(i), 0), from - 1));
}

function gatherPixels(
  builder: GraphBuilder,
  input: Value,
  axes: readonly { axis: number; from: number; to: number; pixels: readonly number[] }[],
): Value {
  let value = builder.channelsFirst(input);
  for (const { axis, from, to, pixels } of axes) {
    if (from === to) continue;
    // A value says its shape with the channels last, as tfjs does.
    const shape = value.shape.with(axis - 1, to);
    const indices = builder.constant(int64Tensor(pixels));
    value = builder.emit('Gather', [value, indices], { ...value, shape }, { axis: { int: axis } });
  }
  return value;
}

/** [batch, channels, height, width] with the batch read from the input while the model runs. */
function resizeTarget(builder: GraphBuilder, input: Value, size: readonly [number, number], channels: number): Value {
  const first = builder.channelsFirst(input);
  const shape = builder.emit('Shape', [first], { shape: [1], type: 'int64' }, { start: { int: 0 }, end: { int: 1 } });
  const rest = builder.constant(int64Tensor([channels, size[0], size[1]]));
  return builder.emit('Concat', [shape, rest], { shape: [4], type: 'int64' }, { axis: { int: 0 } });
}
