/** Rows and columns added around an image, in pixels. */
export interface Padding {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** A sliding window over rows and columns. */
export interface Window {
  size: readonly [number, number];
  strides: readonly [number, number];
  dilations: readonly [number, number];
  padding: 'same' | 'valid' | Padding;
}

export const NO_PADDING: Padding = { top: 0, bottom: 0, left: 0, right: 0 };

function alongAxis(input: number, size: number, stride: number, dilation: number, padding: 'same' | [number, number]) {
  const reach = (size - 1) * dilation + 1;
  if (padding === 'same') {
    // TensorFlow's rule: the odd pixel goes to the end.
    const output = Math.ceil(input / stride);
    const total = Math.max((output - 1) * stride + reach - input, 0);
    return { before: Math.floor(total / 2), after: total - Math.floor(total / 2), output };
  }
  const [before, after] = padding;
  return { before, after, output: Math.floor((input + before + after - reach) / stride) + 1 };
}

/** Pixels before and after: of the rows (axis 0) or of the columns (axis 1). */
export function paddingAlong(axis: 0 | 1, padding: Window['padding']): 'same' | [number, number] {
  if (padding === 'same') return padding;
  const { top, bottom, left, right } = padding === 'valid' ? NO_PADDING : padding;
  return axis === 0 ? [top, bottom] : [left, right];
}

/** Padding and output size of a window on an input of `height` x `width`. */
export function resolveWindow({ size, strides, dilations, padding }: Window, height: number, width: number) {
  const resolve = (axis: 0 | 1, input: number) =>
    alongAxis(input, size[axis], strides[axis], dilations[axis], paddingAlong(axis, padding));
  const rows = resolve(0, height);
  const columns = resolve(1, width);
  return {
    height: rows.output,
    width: columns.output,
    /** ONNX' order: begins, then ends. */
    pads: [rows.before, columns.before, rows.after, columns.after],
  };
}
