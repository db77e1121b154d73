import { ModelError } from '../../errors.ts';
import { floatTensor, type Tensor, transposeTensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { paddingAlong, resolveWindow, type Window } from './window.ts';

/** Rows, columns and channels of a rank-4 value. */
export function imageSize(value: Value): { batch: number; height: number; width: number; channels: number } {
  const [batch, height, width, channels] = value.shape;
  if (value.shape.length !== 4 || batch === undefined || !height || !width || !channels || height < 0 || width < 0) {
    throw new ModelError(
      'TOPOLOGY_INVALID',
      `expected an image [batch, height, width, channels], found [${value.shape}]`,
    );
  }
  return { batch, height, width, channels };
}

/** What a convolution of any kind takes. The order of the kernel's axes depends on the kind. */
interface ConvOperands {
  input: Value;
  kernel: Tensor;
  bias?: Float32Array | undefined;
  window: Omit<Window, 'size'>;
}

/** A convolution. Its kernel is [height, width, input channels / groups, filters]. */
export function convolution(builder: GraphBuilder, { input, kernel, bias, window }: ConvOperands): Value {
  const { channels } = imageSize(input);
  const [height = 1, width = 1, perGroup = 1] = kernel.shape;
  if (kernel.shape.length !== 4 || channels % perGroup !== 0) {
    throw new ModelError('WEIGHTS_INVALID', `a kernel [${kernel.shape}] does not fit an input of ${channels} channels`);
  }
  const oihw = transposeTensor(kernel, [3, 2, 0, 1]);
  return emitConv(
    builder,
    { input, kernel: oihw, bias, window: { ...window, size: [height, width] } },
    channels / perGroup,
  );
}

/** A depthwise convolution. Its kernel is [height, width, input channels, multiplier]. */
export function depthwiseConvolution(builder: GraphBuilder, { input, kernel, bias, window }: ConvOperands): Value {
  const { channels } = imageSize(input);
  const [height = 1, width = 1, inputs = 1, multiplier = 1] = kernel.shape;
  if (kernel.shape.length !== 4 || channels !== inputs) {
    throw new ModelError('WEIGHTS_INVALID', `a depthwise kernel [${kernel.shape}] does not fit ${channels} channels`);
  }
  const oihw = { ...transposeTensor(kernel, [2, 3, 0, 1]), shape: [inputs * multiplier, 1, height, width] };
  return emitConv(builder, { input, kernel: oihw, bias, window: { ...window, size: [height, width] } }, channels);
}

/** ONNX' Conv. Its kernel is [filters, input channels / groups, height, width]. */
function emitConv(
  builder: GraphBuilder,
  { input, kernel, bias, window }: ConvOperands & { window: Window },
  groups: number,
): Value {
  const image = imageSize(input);
  const [filters = 1] = kernel.shape;
  const { height, width, pads } = resolveWindow(window, image.height, image.width);
  const inputs = [builder.channelsFirst(input), builder.constant(kernel)];
  if (bias) inputs.push(builder.constant(floatTensor([filters], bias)));
  return builder.emit(
    'Conv',
    inputs,
    { shape: [image.batch, height, width, filters], channelsFirst: true },
    {
      kernel_shape: { ints: window.size },
      strides: { ints: window.strides },
      dilations: { ints: window.dilations },
      pads: { ints: pads },
      group: { int: groups },
    },
  );
}

/**
 * The gradient of a convolution, as Keras' Conv2DTranspose and TensorFlow's Conv2DBackpropInput compute it. Its kernel is
 * [height, width, filters, input channels].
 */
export function transposedConvolution(
  builder: GraphBuilder,
  { input, kernel, bias, window }: ConvOperands,
  outputSize?: { height: number; width: number },
): Value {
  const image = imageSize(input);
  const [kernelHeight = 1, kernelWidth = 1, filters = 1, inputs = 1] = kernel.shape;
  if (inputs !== image.channels) {
    throw new ModelError('WEIGHTS_INVALID', `a kernel [${kernel.shape}] does not fit ${image.channels} channels`);
  }
  const along = (axis: 0 | 1, output: number | undefined) => {
    const [input, stride] = [[image.height, image.width][axis]!, window.strides[axis]];
    const reach = ([kernelHeight, kernelWidth][axis]! - 1) * window.dilations[axis] + 1;
    // What the result has if nothing is cut off.
    const whole = (input - 1) * stride + reach;
    const padding = paddingAlong(axis, window.padding);
    const target = output ?? (padding === 'same' ? input * stride : input * stride + Math.max(reach - stride, 0));
    // The convolution that this one inverts decides how much is cut off at each side.
    const cut = Math.max(whole - target, 0);
    const [before, after] = padding === 'same' ? [Math.floor(cut / 2), Math.ceil(cut / 2)] : padding;
    return { before, after, target, missing: target - (whole - before - after) };
  };
  const rows = along(0, outputSize?.height);
  const columns = along(1, outputSize?.width);
  const fits = [rows, columns].every(({ missing }, axis) => missing >= 0 && missing < window.strides[axis]!);
  if (!fits) {
    const size = `${rows.target} x ${columns.target}`;
    throw new ModelError('TOPOLOGY_INVALID', `no convolution makes ${image.height} x ${image.width} of ${size}`);
  }
  const parameters = [builder.channelsFirst(input), builder.constant(transposeTensor(kernel, [3, 2, 0, 1]))];
  if (bias) parameters.push(builder.constant(floatTensor([filters], bias)));
  return builder.emit(
    'ConvTranspose',
    parameters,
    { shape: [image.batch, rows.target, columns.target, filters], channelsFirst: true },
    {
      kernel_shape: { ints: [kernelHeight, kernelWidth] },
      strides: { ints: window.strides },
      dilations: { ints: window.dilations },
      pads: { ints: [rows.before, columns.before, rows.after, columns.after] },
      output_padding: { ints: [rows.missing, columns.missing] },
    },
  );
}
