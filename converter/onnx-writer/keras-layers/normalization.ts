import { ModelError, UnsupportedOpError } from '../../errors.ts';
import { binary } from '../emit/binary.ts';
import { batchNormalization } from '../emit/dense.ts';
import { scalar, unary } from '../emit/named-activations.ts';
import { reduce } from '../emit/reduce.ts';
import { transpose } from '../emit/shape.ts';
import { BATCH, elementCount, floatTensor } from '../graph/graph.ts';
import { type LayerCall, type LayerConverter, onlyInput } from './layer-converter.ts';
import { toUnitLength } from './unit-length.ts';

/** @throws UnsupportedOpError if a layer works on another dimension than the channels */
function requireLastAxis(call: LayerCall): void {
  const rank = onlyInput(call).shape.length;
  const field = call.config.raw('axis') ?? -1;
  const axes: unknown[] = Array.isArray(field) ? field : [field];
  if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== rank - 1)) {
    throw new UnsupportedOpError(
      call.className,
      `layer ${call.config.layer}: over axis ${axes.join(', ')}, not the channels`,
    );
  }
}

export const NORMALIZATION_LAYERS: Record<string, LayerConverter> = {
  BatchNormalization: (call) => {
    requireLastAxis(call);
    const { config, weight } = call;
    config.ignore('momentum', 'synchronized', 'fused', 'virtual_batch_size', 'renorm_clipping', 'renorm_momentum');
    config.allow('renorm');
    config.allow('mode', 0);
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
    config.allow('rms_scaling');
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
  UnitNormalization: (call) => {
    const { builder, config, dialect } = call;
    const input = onlyInput(call);
    const axes = [config.raw('axis') ?? -1].flat() as unknown[];
    const isAxis = (axis: unknown): axis is number =>
      Number.isInteger(axis) && Math.abs(Number(axis)) < input.shape.length && axis !== 0;
    if (axes.length === 0 || !axes.every(isAxis))
      throw new UnsupportedOpError(call.className, `layer ${config.layer}: over axis ${axes.join(', ')}`);
    // Keras 3 bounds the length itself, Keras 2 its square.
    return toUnitLength(builder, input, axes, dialect === 'keras3' ? 1e-12 : 1e-6);
  },
  RMSNormalization: (call) => {
    requireLastAxis(call);
    const { builder, config, weight } = call;
    const input = onlyInput(call);
    const mean = reduce(builder, 'ReduceMean', binary(builder, 'Mul', input, input), [-1], true);
    const shifted = binary(builder, 'Add', mean, scalar(builder, config.number('epsilon', 1e-6)));
    const normal = binary(builder, 'Div', input, unary(builder, 'Sqrt', shifted));
    return binary(builder, 'Mul', normal, builder.constant(weight('scale')));
  },
  GroupNormalization: (call) => {
    requireLastAxis(call);
    const { builder, config, weight } = call;
    const input = onlyInput(call);
    const channels = input.shape.at(-1) ?? 1;
    const given = config.number('groups', 32);
    const groups = given === -1 ? channels : given;
    if (!Number.isInteger(channels / groups)) {
      throw new ModelError('TOPOLOGY_INVALID', `layer ${config.layer}: ${channels} channels, ${groups} groups`);
    }
    // A group's mean and deviation are over its channels and all positions: an instance normalization of rows.
    const axes = input.shape.map((_, axis) => axis);
    const first = transpose(builder, input, [0, axes.length - 1, ...axes.slice(1, -1)]);
    const rows = builder.reshape(first, [BATCH, groups, elementCount(first.shape.slice(1)) / groups]);
    const fill = (value: number) => builder.constant(floatTensor([groups], new Float32Array(groups).fill(value)));
    const epsilon = { epsilon: { float: config.number('epsilon', 1e-3) } };
    const normal = builder.emit('InstanceNormalization', [rows, fill(1), fill(0)], { ...rows }, epsilon);
    const back = builder.reshape(normal, first.shape);
    let result = transpose(builder, back, [0, ...axes.slice(2), 1]);
    if (config.boolean('scale', true)) result = binary(builder, 'Mul', result, builder.constant(weight('gamma')));
    if (config.boolean('center', true)) result = binary(builder, 'Add', result, builder.constant(weight('beta')));
    return result;
  },
  Normalization: (call) => {
    const { builder, config } = call;
    const input = onlyInput(call);
    // One number for all channels, or a number per channel: from the configuration, or as adapted. Keras 2 saves axis=None as an empty list.
    const axis = config.raw('axis');
    const isForAll = axis === null || (Array.isArray(axis) && axis.length === 0);
    if (!isForAll) requireLastAxis(call);
    config.allow('invert');
    // How many images it has seen.
    call.ignoreWeight('count');
    const [mean, variance] = (['mean', 'variance'] as const).map((name) => {
      const given = config.raw(name) == null ? [...call.weight(name).data].map(Number) : config.numberOrNumbers(name);
      return typeof given === 'number' ? [given] : given;
    }) as [number[], number[]];
    const channels = input.shape.at(-1) ?? 1;
    if (![1, channels].includes(mean.length) || mean.length !== variance.length) {
      throw new ModelError(
        'TOPOLOGY_INVALID',
        `layer ${config.layer}: mean and variance do not fit ${channels} channels`,
      );
    }
    const perChannel = (values: number[]) =>
      builder.constant(floatTensor([...input.shape.slice(1).map(() => 1), values.length], values));
    // Keras' epsilon.
    const scale = variance.map((value) => 1 / Math.max(Math.sqrt(value), 1e-7));
    return binary(builder, 'Mul', binary(builder, 'Sub', input, perChannel(mean)), perChannel(scale));
  },
};
