import { ModelError, UnsupportedOpError } from '../../errors.ts';
import { imageSize } from '../emit/conv.ts';
import { padImage } from '../emit/pool.ts';
import { resizeImage } from '../emit/resize.ts';
import { resolveShape, slice, transpose } from '../emit/shape.ts';
import { type LayerConverter, onlyInput } from './registry.ts';

export const SHAPE_LAYERS: Record<string, LayerConverter> = {
  Flatten: (call) => {
    call.config.requireChannelsLast();
    return call.builder.flatten(onlyInput(call));
  },
  Reshape: (call) => {
    const input = onlyInput(call);
    const target = call.config.raw('target_shape') ?? call.config.raw('targetShape');
    if (!Array.isArray(target)) throw new ModelError('TOPOLOGY_INVALID', `layer ${call.config.layer}: target_shape`);
    const sizes = target.map((size) => (typeof size === 'number' ? size : -1));
    return call.builder.reshape(input, resolveShape(input.shape, [-1, ...sizes]));
  },
  Permute: (call) => transpose(call.builder, onlyInput(call), [0, ...call.config.numbers('dims')]),
  ZeroPadding2D: (call) => {
    call.config.requireChannelsLast();
    return padImage(call.builder, onlyInput(call), call.config.sides('padding', 1));
  },
  Cropping2D: (call) => {
    call.config.requireChannelsLast();
    const input = onlyInput(call);
    const { height, width } = imageSize(input);
    const { top, bottom, left, right } = call.config.sides('cropping', 0);
    return slice(call.builder, call.builder.channelsFirst(input), [
      { axis: 1, begin: top, end: height - bottom },
      { axis: 2, begin: left, end: width - right },
    ]);
  },
  CenterCrop: (call) => {
    const { builder, config, className } = call;
    config.requireChannelsLast();
    const input = onlyInput(call);
    const image = imageSize(input);
    const [height, width] = [config.number('height'), config.number('width')];
    if (height > image.height || width > image.width) {
      throw new UnsupportedOpError(className, `layer ${config.layer}: enlarges ${image.height} x ${image.width}`);
    }
    const [top, left] = [Math.floor((image.height - height) / 2), Math.floor((image.width - width) / 2)];
    return slice(builder, builder.channelsFirst(input), [
      { axis: 1, begin: top, end: top + height },
      { axis: 2, begin: left, end: left + width },
    ]);
  },
  UpSampling2D: (call) => {
    call.config.requireChannelsLast();
    const input = onlyInput(call);
    const { height, width } = imageSize(input);
    const [rows, columns] = call.config.pair('size', [2, 2]);
    const kind = interpolationOf(call);
    // Keras counts from the middle of pixels, tfjs from their corner.
    const mapping = kind === 'bilinear' && call.dialect !== 'tfjs' ? { halfPixelCenters: true } : {};
    return resizeImage(call.builder, input, [height * rows, width * columns], kind, mapping);
  },
  Resizing: (call) => {
    const { config, dialect } = call;
    config.requireChannelsLast();
    for (const field of ['crop_to_aspect_ratio', 'pad_to_aspect_ratio', 'antialias']) config.allow(field);
    config.ignore('fill_mode', 'fill_value');
    const size = [config.number('height'), config.number('width')] as const;
    // tfjs aligns the corners, unlike Keras, and for a model of tfjs its answer is the correct one.
    const mapping = dialect === 'tfjs' ? { alignCorners: true } : { halfPixelCenters: true };
    return resizeImage(call.builder, onlyInput(call), size, interpolationOf(call), mapping);
  },
};

function interpolationOf({ config, className }: Parameters<LayerConverter>[0]): 'nearest' | 'bilinear' {
  const kind = config.text('interpolation', className === 'Resizing' ? 'bilinear' : 'nearest');
  if (kind !== 'nearest' && kind !== 'bilinear') throw new UnsupportedOpError(className, `interpolation ${kind}`);
  return kind;
}
