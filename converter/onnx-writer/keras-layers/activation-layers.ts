import { UnsupportedOpError } from '../../errors.ts';
import { ownerOf } from '../../tfjs/topology.ts';
import { binary, sameOrder } from '../emit/binary.ts';
import { activate, clip, scalar, softmax, unary } from '../emit/named-activations.ts';
import { floatTensor } from '../graph/graph.ts';
import type { Value } from '../graph/graph-builder.ts';
import { LayerConfig } from './config.ts';
import { type LayerCall, type LayerConverter, onlyInput } from './layer-converter.ts';

/** Functions that mean something else to Keras 3 than to Keras 2 and tfjs. */
const KERAS_3_NAMES: Record<string, string> = { hardsigmoid: 'relu6sigmoid' };

/**
 * What a layer's `activation` says on its result: a function by its name, or a layer with a configuration.
 * @throws UnsupportedOpError
 */
export function applyActivation(call: LayerCall, value: Value, field = 'activation'): Value {
  const raw = call.config.raw(field);
  if (raw === undefined || raw === null) return value;
  if (typeof raw === 'string') return applyNamed(call, value, raw);
  const { class_name, config, module, ...others } = raw as Record<string, unknown>;
  const isKeras =
    ownerOf({ class_name: String(class_name), module, registered_name: others.registered_name }) === undefined;
  if (class_name === 'function' && typeof config === 'string') {
    // Keras writes the names of its functions only. This is a function of someone else, which may have the name of one of Keras.
    if (!isKeras) throw new UnsupportedOpError(`activation ${config}`, `layer ${call.config.layer}: not one of Keras`);
    return applyNamed(call, value, config);
  }
  // Of a lambda the file has the compiled code.
  if (class_name === undefined)
    throw new UnsupportedOpError('an activation that is a lambda', `layer ${call.config.layer}`);
  const where = `${call.config.layer}: ${field}`;
  const convert = typeof class_name === 'string' ? PARAMETRIC[class_name] : undefined;
  const isKnown = Object.hasOwn(PARAMETRIC, String(class_name)) && isKeras;
  const hasMore = Object.keys(others).some(
    (key) => !/^(registered_name|name|inbound_nodes|build_config|shared_object_id)$/.test(key),
  );
  if (!convert || !isKnown || hasMore || typeof config !== 'object' || config === null) {
    throw new UnsupportedOpError(`activation ${String(class_name)}`, `layer ${call.config.layer}`);
  }
  const inner = new LayerConfig(where, config as Record<string, unknown>);
  const weight = () => {
    throw new UnsupportedOpError(`activation ${String(class_name)}`, `layer ${call.config.layer}: it has weights`);
  };
  const result = convert({ ...call, className: String(class_name), config: inner, inputs: [value], weight });
  inner.requireAllRead();
  return result;
}

function applyNamed({ builder, dialect }: LayerCall, value: Value, name: string): Value {
  const key = name.replaceAll('_', '').toLowerCase();
  const renamed = dialect === 'keras3' && Object.hasOwn(KERAS_3_NAMES, key) ? KERAS_3_NAMES[key] : undefined;
  return activate(builder, renamed ?? name, value);
}

/** `max_value` above it, x above `threshold`, `negative_slope * (x - threshold)` up to it. */
function relu(call: LayerCall): Value {
  const { builder, config } = call;
  const input = onlyInput(call);
  const threshold = config.number('threshold', 0);
  const slope = config.number('negative_slope', 0);
  const max = config.raw('max_value') == null ? undefined : config.number('max_value');
  if (threshold === 0 && slope === 0) {
    return max === undefined ? unary(builder, 'Relu', input) : clip(builder, input, 0, max);
  }
  const limit = (value: Value) =>
    max === undefined ? value : builder.emit('Min', [value, scalar(builder, max)], { ...value });
  if (threshold === 0) return limit(unary(builder, 'LeakyRelu', input, { alpha: { float: slope } }));
  const bound = scalar(builder, threshold);
  const below = binary(builder, 'Mul', binary(builder, 'Sub', input, bound), scalar(builder, slope));
  // At the threshold itself, it is the slope's: zero.
  const isBelow = binary(builder, 'LessOrEqual', input, bound, 'bool');
  return builder.emit('Where', [isBelow, below, limit(input)], { ...input });
}

/** Activations with numbers but without weights: a separate layer, or the `activation` of another. */
const PARAMETRIC: Record<string, LayerConverter> = {
  Activation: (call) => applyActivation(call, onlyInput(call)),
  ReLU: relu,
  LeakyReLU: (call) => {
    const { builder, config } = call;
    const [slope, alpha] = ['negative_slope', 'alpha'].map((field) =>
      config.raw(field) == null ? undefined : config.number(field),
    );
    if (slope !== undefined && alpha !== undefined && slope !== alpha) {
      throw new UnsupportedOpError(call.className, `layer ${config.layer}: negative_slope ${slope} and alpha ${alpha}`);
    }
    return unary(builder, 'LeakyRelu', onlyInput(call), { alpha: { float: slope ?? alpha ?? 0.3 } });
  },
  ELU: (call) => unary(call.builder, 'Elu', onlyInput(call), { alpha: { float: call.config.number('alpha', 1) } }),
  ThresholdedReLU: (call) =>
    unary(call.builder, 'ThresholdedRelu', onlyInput(call), { alpha: { float: call.config.number('theta', 1) } }),
  Softmax: (call) => {
    const axis = call.config.raw('axis') ?? -1;
    const [only, ...others] = Array.isArray(axis) ? axis : [axis];
    if (typeof only !== 'number' || others.length > 0)
      throw new UnsupportedOpError(call.className, `layer ${call.config.layer}: over several axes`);
    const input = onlyInput(call);
    if (only === 0 || only === -input.shape.length)
      throw new UnsupportedOpError(call.className, `layer ${call.config.layer}: over the batch`);
    return softmax(call.builder, input, only);
  },
};

export const ACTIVATION_LAYERS: Record<string, LayerConverter> = {
  /** Of ConvNeXt: a factor per channel. */
  LayerScale: (call) => {
    call.config.ignore('init_values', 'projection_dim');
    return binary(call.builder, 'Mul', onlyInput(call), call.builder.constant(call.weight('gamma')));
  },
  ...PARAMETRIC,
  PReLU: (call) => {
    // The weights' shape says it.
    call.config.ignore('shared_axes');
    const [input, slope] = sameOrder(call.builder, onlyInput(call), call.builder.constant(call.weight('alpha')));
    return call.builder.emit('PRelu', [input, slope], { ...input });
  },
  Rescaling: (call) => {
    const { builder, config } = call;
    const input = onlyInput(call);
    const numbers = (field: string, fallback: number) => {
      const values = config.numberOrNumbers(field, fallback);
      return typeof values === 'number'
        ? scalar(builder, values)
        : builder.constant(floatTensor([...input.shape.slice(1).map(() => 1), values.length], values));
    };
    const scaled = binary(builder, 'Mul', input, numbers('scale', 1));
    return config.raw('offset') === 0 ? scaled : binary(builder, 'Add', scaled, numbers('offset', 0));
  },
};
