import { type LayerConverter, onlyInput } from './layer-converter.ts';

/**
 * Layers that pass their input on once a model is trained, whatever their configuration; each was tried with Keras 2.15 or 3.15.
 * RandomCrop, AutoContrast and Equalization are not among them.
 */
const NAMES = [
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

const passOn: LayerConverter = (call) => {
  call.config.ignoreAll();
  return onlyInput(call);
};

export const TRAINING_ONLY_LAYERS: Record<string, LayerConverter> = Object.fromEntries(
  NAMES.map((name) => [name, passOn]),
);
