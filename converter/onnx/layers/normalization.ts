import { UnsupportedOpError } from '../../errors.ts';
import { binary } from '../emit/binary.ts';
import { batchNormalization } from '../emit/dense.ts';
import { floatTensor } from '../graph.ts';
import { type LayerCall, type LayerConverter, onlyInput } from './registry.ts';

/** @throws UnsupportedOpError where a layer works on another dimension than the channels */
function requireLastAxis(call: LayerCall): void {
  const rank = onlyInput(call).shape.length;
  const field = call.config.raw('axis') ?? -1;
  const axes: unknown[] = Array.isArray(field) ? field : [field];
  if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== rank - 1)) {
    throw new UnsupportedOpError(call.className, `over axis ${axes.join(', ')}, not the channels`);
  }
}

export const NORMALIZATION_LAYERS: Record<string, LayerConverter> = {
  BatchNormalization: (call) => {
    requireLastAxis(call);
    const { config, weight } = call;
    const mean = weight('moving_mean').data as Float32Array;
    return batchNormalization(call.builder, onlyInput(call), {
      gamma: config.boolean('scale', true) ? (weight('gamma').data as Float32Array) : mean.map(() => 1),
      beta: config.boolean('center', true) ? (weight('beta').data as Float32Array) : mean.map(() => 0),
      mean,
      variance: weight('moving_variance').data as Float32Array,
      epsilon: config.number('epsilon', 1e-3),
    });
  },
  LayerNormalization: (call) => {
    requireLastAxis(call);
    const { builder, config, weight } = call;
    const plain = builder.channelsLast(onlyInput(call));
    const size = plain.shape.at(-1) ?? 1;
    const fill = (value: number) => floatTensor([size], new Float32Array(size).fill(value));
    const gamma = config.boolean('scale', true) ? weight('gamma') : fill(1);
    const beta = config.boolean('center', true) ? weight('beta') : fill(0);
    return builder.emit(
      'LayerNormalization',
      [plain, builder.constant(gamma), builder.constant(beta)],
      { ...plain },
      { axis: { int: -1 }, epsilon: { float: config.number('epsilon', 1e-3) } },
    );
  },
  Normalization: (call) => {
    requireLastAxis(call);
    const { builder, weight } = call;
    const mean = weight('mean').data as Float32Array;
    const variance = weight('variance').data as Float32Array;
    const shape = [1, 1, 1, mean.length];
    // Keras' own epsilon.
    const scale = variance.map((value) => 1 / Math.max(Math.sqrt(value), 1e-7));
    const centred = binary(builder, 'Sub', onlyInput(call), builder.constant(floatTensor(shape, mean)));
    return binary(builder, 'Mul', centred, builder.constant(floatTensor(shape, scale)));
  },
};
