/** Ops of graph models that tfjs computes otherwise than TensorFlow. */
import * as tf from '@tensorflow/tfjs';

/** Makes graph models compute these ops as TensorFlow does, on all backends. */
export function replaceGraphOps(): void {
  for (const name of ['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'])
    tf.registerOp(name, batchNormalization);
}

/**
 * tfjs takes the given mean and variance and channels last, whatever the node says. Keras 2 writes LayerNormalization as a batch normalization
 * in training, without a mean and variance, and with channels first.
 */
function batchNormalization({ inputs, attrs }: tf.GraphNode): tf.Tensor {
  const [x, scale, offset, mean, variance] = inputs as [tf.Tensor4D, ...tf.Tensor1D[]];
  if (!x || !scale || !offset || !mean || !variance) throw new Error('a batch normalization lacks inputs');
  const isFirst = attrs.data_format === 'nchw';
  const epsilon = Number(attrs.epsilon ?? 1e-4);
  if (!attrs.is_training && !isFirst) return tf.batchNorm(x, mean, variance, offset, scale, epsilon);
  return tf.tidy(() => {
    const perChannel = (values: tf.Tensor1D) => values.reshape(isFirst ? [1, -1, 1, 1] : [1, 1, 1, -1]);
    const moments = attrs.is_training
      ? tf.moments(x, isFirst ? [0, 2, 3] : [0, 1, 2], true)
      : { mean: perChannel(mean), variance: perChannel(variance) };
    const normal = x.sub(moments.mean).mul(moments.variance.add(epsilon).rsqrt());
    return normal.mul(perChannel(scale)).add(perChannel(offset));
  });
}
