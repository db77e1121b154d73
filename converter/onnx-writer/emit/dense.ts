import { floatTensor, type Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { binary } from './binary.ts';

/**
 * A fully connected layer over the last dimension.
 * @param kernel [inputs, units]
 */
export function dense(builder: GraphBuilder, input: Value, kernel: Tensor, bias: Float32Array | undefined): Value {
  const units = kernel.shape[1] ?? 1;
  const plain = builder.channelsLast(input);
  const shape = [...plain.shape.slice(0, -1), units];
  const biasTensor = bias && builder.constant(floatTensor([units], bias));
  if (shape.length === 2) {
    const inputs = [plain, builder.constant(kernel)];
    return builder.emit('Gemm', biasTensor ? [...inputs, biasTensor] : inputs, { shape });
  }
  const product = builder.emit('MatMul', [plain, builder.constant(kernel)], { shape });
  return biasTensor ? binary(builder, 'Add', product, biasTensor) : product;
}

/** The numbers of a batch normalization, one per channel. */
export interface NormalizationWeights {
  gamma: Float32Array;
  beta: Float32Array;
  mean: Float32Array;
  variance: Float32Array;
  epsilon: number;
}

/** Batch normalization over the channels, with the statistics of training. */
export function batchNormalization(builder: GraphBuilder, input: Value, weights: NormalizationWeights): Value {
  const { gamma, beta, mean, variance, epsilon } = weights;
  const constant = (data: Float32Array) => builder.constant(floatTensor([data.length], data));
  if (input.shape.length === 4 || input.shape.length === 2) {
    const image = input.shape.length === 4 ? builder.channelsFirst(input) : input;
    return builder.emit(
      'BatchNormalization',
      [image, constant(gamma), constant(beta), constant(mean), constant(variance)],
      { ...image },
      { epsilon: { float: epsilon } },
    );
  }
  const scale = gamma.map((value, i) => value / Math.sqrt((variance[i] ?? 0) + epsilon));
  const shift = beta.map((value, i) => value - (mean[i] ?? 0) * (scale[i] ?? 0));
  return binary(builder, 'Add', binary(builder, 'Mul', input, constant(scale)), constant(shift));
}
