"""python make_tensorflow.py [name ...]   The models that tf2onnx converts; versions are in requirements-tensorflow.txt."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from cases import IMAGE, folder, pixels, softmax, write_case


def converted():
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


def beginner():
    """The quickstart for beginners: images of 28 x 28 without channels, in 0..1, and logits."""
    tf.keras.utils.set_random_seed(8)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Flatten(input_shape=(28, 28)), layers.Dense(16, activation="relu"), layers.Dropout(0.2), layers.Dense(10)]
    )
    answers = softmax(model.predict(pixels(28, 28, 1)[..., 0].astype(np.float32) / 255, verbose=0).astype(np.float64))
    with tempfile.TemporaryDirectory() as scratch:
        saved = os.path.join(scratch, "saved")
        model.export(saved)
        output = os.path.join(folder("tf2onnx-without-channels"), "model.onnx")
        subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", saved, "--output", output], check=True)
    spec = {"input": {"width": 28, "height": 28, "channels": 1, "normalization": "unit"}, "output": {"activation": "logits"}}
    write_case("tf2onnx-without-channels", answers, spec, note="TensorFlow's quickstart for beginners: gray images without channels")


MAKERS = {f.__name__: f for f in (converted, beginner)}

for name in sys.argv[1:] or MAKERS:
    MAKERS[name]()
