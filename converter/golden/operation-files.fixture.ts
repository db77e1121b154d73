/** Layer files of operations on tensors, as Keras 3 and Keras 2 write them. */
import { type LayerFile, tensor } from './layer-files.fixture.ts';

/** The operation's input: the image, spread around zero. */
export const x = tensor('l0');

export const op = (class_name: string, args: unknown[], config: object = {}): LayerFile => ({
  class_name,
  module: 'keras.src.ops.numpy',
  config: { ...config },
  call: { args, kwargs: {} },
});
export const lambda = (name: string, kwargs: object = {}): LayerFile => ({
  class_name: 'TFOpLambda',
  config: { trainable: true, dtype: 'float32', function: name },
  call: ['l0', 0, 0, { name: null, ...kwargs }],
});
