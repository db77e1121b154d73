import { UnsupportedOpError } from '../../errors.ts';
import { imageSize } from '../emit/conv.ts';
import { padImage } from '../emit/pool.ts';
import { slice } from '../emit/shape.ts';
import { type LayerConverter, onlyInput } from './layer-converter.ts';

/** Layers that add a border to an image or cut one off. */
export const PADDING_LAYERS: Record<string, LayerConverter> = {
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
};
