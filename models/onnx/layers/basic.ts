import { UnsupportedOpError } from '../../errors.ts';
import { activate } from '../ops/activation.ts';
import { batchNormalization, dense } from '../ops/dense.ts';
import { type LayerConverter, onlyInput } from './registry.ts';

export const BASIC_LAYERS: Record<string, LayerConverter> = {
  Activation: (call) => activate(call.builder, call.config.activation(), onlyInput(call)),
  Dense: (call) => {
    const { builder, config, weight } = call;
    const bias = config.boolean('use_bias', true) ? (weight('bias').data as Float32Array) : undefined;
    return activate(builder, config.activation(), dense(builder, onlyInput(call), weight('kernel'), bias));
  },
  Flatten: (call) => call.builder.flatten(onlyInput(call)),
  BatchNormalization: (call) => {
    const { config, weight } = call;
    const input = onlyInput(call);
    const axisField = config.raw('axis') ?? -1;
    const axis = Array.isArray(axisField) ? axisField[0] : axisField;
    if (axis !== -1 && axis !== input.shape.length - 1) {
      throw new UnsupportedOpError(call.className, `over axis ${String(axisField)}, not the channels`);
    }
    const mean = weight('moving_mean').data as Float32Array;
    const center = config.boolean('center', true);
    const scale = config.boolean('scale', true);
    return batchNormalization(call.builder, input, {
      gamma: scale ? (weight('gamma').data as Float32Array) : new Float32Array(mean.length).fill(1),
      beta: center ? (weight('beta').data as Float32Array) : new Float32Array(mean.length),
      mean,
      variance: weight('moving_variance').data as Float32Array,
      epsilon: config.number('epsilon', 1e-3),
    });
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
