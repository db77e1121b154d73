"""python make_tensorflow.py   The models that tf2onnx converts; versions are in requirements-tensorflow.txt."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))


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
    count = 32 * 32 * 3
    rows = [(np.arange(count, dtype=np.int64) * (7919 + 2 * k) + 31 * k) % 251 for k in range(3)]
    pixels = np.stack(rows).astype(np.uint8).reshape(3, 32, 32, 3)
    answers = model.predict(pixels.astype(np.float32), verbose=0).astype(float).round(7).tolist()
    spec = {"input": {"width": 32, "height": 32, "channels": 3, "normalization": "none"}, "output": {"activation": "softmax"}}
    with tempfile.TemporaryDirectory() as scratch:
        saved, lite = os.path.join(scratch, "saved"), os.path.join(scratch, "model.tflite")
        model.export(saved)
        with open(lite, "wb") as file:
            file.write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        for name, source, note in (
            ("tf2onnx-saved-model", ["--saved-model", saved], "a Keras model with a Rescaling layer, exported as SavedModel, converted by tf2onnx: channels last"),
            ("tf2onnx-tflite", ["--tflite", lite], "the same as .tflite, converted by tf2onnx"),
        ):
            os.makedirs(os.path.join(HERE, name), exist_ok=True)
            output = os.path.join(HERE, name, "model.onnx")
            subprocess.run([sys.executable, "-m", "tf2onnx.convert", *source, "--output", output], check=True)
            with open(os.path.join(HERE, "answers", name + ".json"), "w") as file:
                json.dump({"note": note, "flags": [], "spec": spec, "answers": answers}, file, indent=1)


main()
