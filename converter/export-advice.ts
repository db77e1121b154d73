/** What to do about a model that cannot be read: the commands that write it in another form. */

/**
 * What writes a model of Keras 2 or 3 to `folder`. `model.export` alone leaves random layers such as `RandomFlip` active, whose
 * default is to train.
 */
export const KERAS_EXPORT = "keras.Model(model.input, model(model.input, training=False)).export('folder')";

/** What converts `folder` to an ONNX file. */
export const TF2ONNX_COMMAND =
  "python -m tf2onnx.convert --saved-model folder --output model.onnx (pip install 'tf2onnx>=1.17')";

/**
 * Operations that tf2onnx writes as TensorFlow's own, which nothing else runs. Each was tried with models of Keras 2.15 or 3.15; `Argmax`
 * is Keras 3's.
 */
const NOT_EXPORTED = [
  /^antialias\b|(^|\.)(rgb_?to_?hsv|hsv_?to_?rgb|erf_?inv|dilation2d|inv|qr|svd|fft2?d?)$/i,
  /^Arg(max|min)$/,
];
/** The same, and `area`, whose answers change. */
const RESIZES_NOT_EXPORTED = /\b(by|interpolation) (area|lanczos\d)\b|\bwith antialias\b/;

/**
 * What to do about a model that is not understood. A graph model is not among it: recurrent layers become loops in it, which nothing runs.
 * @param refused the message of the refusal
 */
export function wayOut(format: 'tfjs-layers' | 'tfjs-graph', refused: string): string {
  const [, op = '', detail = ''] = /does not cover (.*?): (.*)/.exec(refused) ?? [];
  if (NOT_EXPORTED.some((names) => names.test(op)) || RESIZES_NOT_EXPORTED.test(detail)) {
    return 'tf2onnx does not write it as an ONNX file needs it, either: build the model without it';
  }
  return format === 'tfjs-layers'
    ? 'An ONNX file says every operation: in the program that defines the model, call ' +
        `${KERAS_EXPORT} (for a subclass of keras.Model, x = keras.Input(shape) instead of model.input); then convert it: ${TF2ONNX_COMMAND}, and add model.onnx`
    : `Add an ONNX file of the SavedModel that it was made from: ${TF2ONNX_COMMAND}; or the model's .keras or .h5 file`;
}

/** What to do about a model that takes more than an image. */
export const ONE_IMAGE =
  'a request has one image. Save a model that takes only that (in Keras keras.Model(model.inputs[0], model.outputs[0]), if the ' +
  'result does not depend on the other inputs), or serve it with code (docs/custom-engine.md)';
