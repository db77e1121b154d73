import { UnsupportedOpError } from '../../errors.ts';
import { type Argument, type Call, type Dialect, isOff } from '../../tfjs/call-arguments.ts';
import { binary } from '../emit/binary.ts';
import { dense } from '../emit/dense.ts';
import { scalar, softmax } from '../emit/named-activations.ts';
import { transpose } from '../emit/shape.ts';
import { elementCount, floatTensor, type Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import type { LayerCall, LayerConverter } from './layer-converter.ts';

/** [batch, positions, features] to [batch, heads, positions, size of a head]. */
function toHeads(builder: GraphBuilder, input: Value, kernel: Tensor, bias: Tensor | undefined): Value {
  const [features = 1, heads = 1, size = 1] = kernel.shape;
  const flat = dense(
    builder,
    input,
    reshaped(kernel, [features, heads * size]),
    bias?.data as Float32Array | undefined,
  );
  const [batch = 1, positions = 1] = flat.shape;
  return transpose(builder, builder.reshape(flat, [batch, positions, heads, size]), [0, 2, 1, 3]);
}

function reshaped(tensor: Tensor, shape: readonly number[]): Tensor {
  return floatTensor(shape, tensor.data as Float32Array);
}

/** Sub-layers by their name, and by the names of Keras' attributes, which a .keras file has instead. */
const PARTS: Record<string, string[]> = {
  query: ['query', 'query_dense', '_query_dense'],
  key: ['key', 'key_dense', '_key_dense'],
  value: ['value', 'value_dense', '_value_dense'],
  attention_output: ['attention_output', 'output_dense', '_output_dense'],
};

/** Possible places of a weight such as `query/kernel`: names of the sub-layer, and of the weight in it. */
export function attentionWeight(name: string): { parts: string[]; names: string[] } {
  const [part = '', weight = ''] = name.split('/');
  return { parts: PARTS[part] ?? [], names: [weight, weight === 'kernel' ? '0' : '1'] };
}

/**
 * Query, value and key of a call; undefined if it has another argument that matters, such as a mask.
 */
export function attentionArguments({ args, kwargs }: Call, dialect: Dialect): Argument[] | undefined {
  const known = ['query', 'value', 'key'];
  const found = [...args];
  for (const [name, argument] of kwargs) {
    const isNothing = 'value' in argument && (argument.value === null || typeof argument.value === 'boolean');
    if (name === 'training' ? isOff(name, argument, dialect) : isNothing && argument.value !== true) continue;
    if (known.indexOf(name) !== found.length) return undefined;
    found.push(argument);
  }
  return found.length >= 2 && found.length <= 3 && found.every((argument) => 'tensor' in argument) ? found : undefined;
}

/**
 * Keras 3 adds a bias of one number per head to the positions if there are as many of them (see `add` of its operations).
 * @throws UnsupportedOpError
 */
function requireBiasOfHeads({ className, config }: LayerCall, kernel: Tensor, input: Value): void {
  const [, heads = 1, size = 1] = kernel.shape;
  if (size === 1 && heads > 1 && heads === input.shape[1]) {
    throw new UnsupportedOpError(
      className,
      `layer ${config.layer}: ${heads} heads of one number over ${heads} positions`,
    );
  }
}

/** softmax(query x key / sqrt(size)) x value, per head, over the one dimension of positions. */
export const multiHeadAttention: LayerConverter = (call) => {
  const { builder, className, config, inputs, weight } = call;
  const [query, value, key = value, ...others] = inputs;
  const isSequence = (input: Value | undefined): input is Value => input?.shape.length === 3;
  if (!isSequence(query) || !isSequence(value) || !isSequence(key) || others.length > 0) {
    throw new UnsupportedOpError(className, `layer ${config.layer}: expected query, value and key of three dimensions`);
  }
  config.ignore('dropout', 'seed', 'query_shape', 'key_shape', 'value_shape', 'flash_attention');
  for (const field of ['output_shape', 'sliding_window', 'use_gate']) config.allow(field);
  if (JSON.stringify(config.raw('attention_axes')) !== '[1]') config.allow('attention_axes', 1);
  const bias = config.boolean('use_bias', true) ? (name: string) => weight(`${name}/bias`) : () => undefined;
  const kernels = ['query', 'key', 'value'].map((name) => weight(`${name}/kernel`)) as [Tensor, Tensor, Tensor];
  const [, heads = 1, size = 1] = kernels[0].shape;
  config.expect('num_heads', heads);
  config.expect('key_dim', size);
  config.expect('value_dim', kernels[2].shape[2] ?? 0);
  if (call.dialect === 'keras3' && bias('query') !== undefined) {
    for (const [i, input] of [query, key, value].entries()) requireBiasOfHeads(call, kernels[i] as Tensor, input);
  }
  const [q, k, v] = [query, key, value].map((input, i) =>
    toHeads(builder, input, kernels[i] as Tensor, bias(['query', 'key', 'value'][i] as string)),
  ) as [Value, Value, Value];
  const scaled = binary(builder, 'Mul', q, scalar(builder, 1 / Math.sqrt(size)));
  const turned = transpose(builder, k, [0, 1, 3, 2]);
  const [batch = 1, , positions = 1] = q.shape;
  const scores = builder.emit('MatMul', [scaled, turned], { shape: [batch, heads, positions, k.shape[2] ?? 1] });
  const valueSize = v.shape[3] ?? 1;
  const mixed = builder.emit('MatMul', [softmax(builder, scores), v], { shape: [batch, heads, positions, valueSize] });
  const joined = builder.reshape(transpose(builder, mixed, [0, 2, 1, 3]), [batch, positions, heads * valueSize]);
  const kernel = weight('attention_output/kernel');
  const outputs = kernel.shape.at(-1) ?? 1;
  const flat = reshaped(kernel, [elementCount(kernel.shape) / outputs, outputs]);
  return dense(builder, joined, flat, bias('attention_output')?.data as Float32Array | undefined);
};
