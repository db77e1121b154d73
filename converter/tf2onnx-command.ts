/** What converts `folder`, where Keras' `model.export('folder')` has written a model, to an ONNX file. */
export const TF2ONNX_COMMAND =
  "python -m tf2onnx.convert --saved-model folder --output model.onnx (pip install 'tf2onnx>=1.17')";
