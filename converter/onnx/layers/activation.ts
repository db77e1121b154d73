import { UnsupportedOpError } from '../../errors.ts';
import { activate, clip, scalar, softmax, unary } from '../emit/activation.ts';
import { binary, sameOrder } from '../emit/binary.ts';
import { type LayerConverter, onlyInput } from './registry.ts';

export const ACTIVATION_LAYERS: Record<string, LayerConverter> = {
  Activation: (call) => activate(call.builder, call.config.activation(), onlyInput(call)),
  ReLU: (call) => {
    const { builder, config } = call;
    const input = onlyInput(call);
    const threshold = config.number('threshold', 0);
    const slope = config.number('negative_slope', 0);
    if (threshold !== 0) throw new UnsupportedOpError(call.className, `with threshold ${threshold}`);
    const max = config.raw('max_value') ?? undefined;
    if (slope !== 0) {
      const leaky = unary(builder, 'LeakyRelu', input, { alpha: { float: slope } });
      return max === undefined
        ? leaky
        : builder.emit('Min', [leaky, scalar(builder, config.number('max_value'))], { ...leaky });
    }
    return max === undefined ? unary(builder, 'Relu', input) : clip(builder, input, 0, config.number('max_value'));
  },
  LeakyReLU: (call) => {
    const slope = call.config.number('negative_slope', call.config.number('alpha', 0.3));
    return unary(call.builder, 'LeakyRelu', onlyInput(call), { alpha: { float: slope } });
  },
  PReLU: (call) => {
    const [input, slope] = sameOrder(call.builder, onlyInput(call), call.builder.constant(call.weight('alpha')));
    return call.builder.emit('PRelu', [input, slope], { ...input });
  },
  ELU: (call) => unary(call.builder, 'Elu', onlyInput(call), { alpha: { float: call.config.number('alpha', 1) } }),
  ThresholdedReLU: (call) =>
    unary(call.builder, 'ThresholdedRelu', onlyInput(call), { alpha: { float: call.config.number('theta', 1) } }),
  Softmax: (call) => {
    const axis = call.config.raw('axis') ?? -1;
    const [only, ...others] = Array.isArray(axis) ? axis : [axis];
    if (typeof only !== 'number' || others.length > 0)
      throw new UnsupportedOpError(call.className, 'over several axes');
    return softmax(call.builder, onlyInput(call), only);
  },
  Rescaling: (call) => {
    const { builder, config } = call;
    const scaled = binary(builder, 'Mul', onlyInput(call), scalar(builder, config.number('scale')));
    const offset = config.number('offset', 0);
    return offset === 0 ? scaled : binary(builder, 'Add', scaled, scalar(builder, offset));
  },
};
