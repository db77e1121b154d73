import { activate } from '../emit/activation.ts';
import { dense } from '../emit/dense.ts';
import { type LayerConverter, onlyInput } from './registry.ts';

export const BASIC_LAYERS: Record<string, LayerConverter> = {
  Dense: (call) => {
    const { builder, config, weight } = call;
    const bias = config.boolean('use_bias', true) ? (weight('bias').data as Float32Array) : undefined;
    return activate(builder, config.activation(), dense(builder, onlyInput(call), weight('kernel'), bias));
  },
};

/** Layers that only do something while a model is trained. */
for (const name of [
  'Dropout',
  'SpatialDropout1D',
  'SpatialDropout2D',
  'GaussianNoise',
  'GaussianDropout',
  'AlphaDropout',
  'ActivityRegularization',
]) {
  BASIC_LAYERS[name] = onlyInput;
}
