/**
 * What writes a model of Keras 2 or 3 to `folder`. `model.export` alone leaves random layers such as `RandomFlip` active, whose
 * default is to train.
 */
export const KERAS_EXPORT = "keras.Model(model.input, model(model.input, training=False)).export('folder')";

/** What converts `folder` to an ONNX file. */
export const TF2ONNX_COMMAND =
  "python -m tf2onnx.convert --saved-model folder --output model.onnx (pip install 'tf2onnx>=1.17')";
