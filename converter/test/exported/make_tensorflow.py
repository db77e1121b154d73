"""python make_tensorflow.py   The models that tf2onnx converts; versions are in requirements-tensorflow.txt."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from cases import IMAGE, folder, pixels, write_case


def main():
    tf.keras.utils.set_random_seed(7)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    answers = model.predict(pixels(32, 32, 3).astype(np.float32), verbose=0)
    spec = {"input": {**IMAGE, "normalization": "none"}, "output": {"activation": "softmax"}}
    with tempfile.TemporaryDirectory() as scratch:
        saved, lite = os.path.join(scratch, "saved"), os.path.join(scratch, "model.tflite")
        model.export(saved)
        with open(lite, "wb") as file:
            file.write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        for name, source, note in (
            ("tf2onnx-saved-model", ["--saved-model", saved], "a Keras model with a Rescaling layer, exported as SavedModel, converted by tf2onnx: channels last"),
            ("tf2onnx-tflite", ["--tflite", lite], "the same as .tflite, converted by tf2onnx"),
        ):
            output = os.path.join(folder(name), "model.onnx")
            subprocess.run([sys.executable, "-m", "tf2onnx.convert", *source, "--output", output], check=True)
            write_case(name, answers, spec, note=note)


main()
