import { dense } from '../emit/dense.ts';
import { applyActivation } from './activation.ts';
import { type LayerConverter, onlyInput } from './registry.ts';

export const BASIC_LAYERS: Record<string, LayerConverter> = {
  Dense: (call) => {
    const { builder, config, weight } = call;
    const kernel = weight('kernel');
    const bias = config.boolean('use_bias', true) ? (weight('bias').data as Float32Array) : undefined;
    config.expect('units', kernel.shape[1] ?? 0);
    config.ignore('input_dim', 'lora_alpha');
    config.allow('lora_rank');
    config.allow('quantization_mode');
    config.allow('quantization_config');
    return applyActivation(call, dense(builder, onlyInput(call), kernel, bias));
  },
};

/**
 * Layers that pass their input on once a model is trained, whatever their configuration; each was tried with Keras 2.15 or 3.15.
 * RandomCrop, AutoContrast and Equalization are not among them.
 */
const TRAINING_LAYERS = [
  'ActivityRegularization',
  'AlphaDropout',
  'AugMix',
  'CutMix',
  'Dropout',
  'GaussianDropout',
  'GaussianNoise',
  'MixUp',
  'RandAugment',
  'RandomBrightness',
  'RandomColorDegeneration',
  'RandomColorJitter',
  'RandomContrast',
  'RandomElasticTransform',
  'RandomErasing',
  'RandomFlip',
  'RandomGaussianBlur',
  'RandomGrayscale',
  'RandomHeight',
  'RandomHue',
  'RandomInvert',
  'RandomPerspective',
  'RandomPosterization',
  'RandomRotation',
  'RandomSaturation',
  'RandomSharpness',
  'RandomShear',
  'RandomTranslation',
  'RandomWidth',
  'RandomZoom',
  'Solarization',
  'SpatialDropout1D',
  'SpatialDropout2D',
  // Of ConvNeXt.
  'StochasticDepth',
];
for (const name of TRAINING_LAYERS) {
  BASIC_LAYERS[name] = (call) => {
    call.config.ignoreAll();
    return onlyInput(call);
  };
}
