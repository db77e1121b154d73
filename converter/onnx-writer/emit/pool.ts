import { floatTensor, int64Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { imageSize } from './conv.ts';
import { type Padding, resolveWindow, type Window } from './window.ts';

/** Max or average over a window; padding never counts towards an average, as in TensorFlow. */
export function pool(builder: GraphBuilder, kind: 'max' | 'average', input: Value, window: Window): Value {
  const image = imageSize(input);
  const { height, width, pads } = resolveWindow(window, image.height, image.width);
  return builder.emit(
    kind === 'max' ? 'MaxPool' : 'AveragePool',
    [builder.channelsFirst(input)],
    { shape: [image.batch, height, width, image.channels], channelsFirst: true },
    { kernel_shape: { ints: window.size }, strides: { ints: window.strides }, pads: { ints: pads } },
  );
}

/** Max or average over all rows and columns: [batch, 1, 1, channels], or [batch, channels] without `keepSize`. */
export function globalPool(builder: GraphBuilder, kind: 'max' | 'average', input: Value, keepSize: boolean): Value {
  const { batch, channels } = imageSize(input);
  const pooled = builder.emit(kind === 'max' ? 'GlobalMaxPool' : 'GlobalAveragePool', [builder.channelsFirst(input)], {
    shape: [batch, 1, 1, channels],
    channelsFirst: true,
  });
  if (keepSize) return pooled;
  return builder.emit('Flatten', [pooled], { shape: [batch, channels] }, { axis: { int: 1 } });
}

/** Surrounds an image with a value. */
export function padImage(builder: GraphBuilder, input: Value, padding: Padding, fill = 0): Value {
  const { batch, height, width, channels } = imageSize(input);
  const { top, bottom, left, right } = padding;
  if (top + bottom + left + right === 0) return input;
  return builder.emit(
    'Pad',
    [
      builder.channelsFirst(input),
      builder.constant(int64Tensor([0, 0, top, left, 0, 0, bottom, right])),
      builder.constant(floatTensor([], [fill])),
    ],
    { shape: [batch, height + top + bottom, width + left + right, channels], channelsFirst: true },
    { mode: { text: 'constant' } },
  );
}
