import { UnsupportedOpError } from '../../errors.ts';
import { imageSize } from '../emit/conv.ts';
import { resizeImage } from '../emit/resize.ts';
import { type LayerConverter, onlyInput } from './layer-converter.ts';

/** Layers that interpolate an image to another size. */
export const UPSAMPLING_LAYERS: Record<string, LayerConverter> = {
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
