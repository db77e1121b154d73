"""keras2/bin/python make_inside_keras.py   A model of Keras that normalizes each column by its own mean; versions are in requirements-tensorflow.txt."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from cases import IMAGE, folder, pixels, write_case

layers = tf.keras.layers
NAME = "keras2-per-column-onnx"


def network(axis):
    """Over which axes the layer has a mean each: (1, 2, 3) is one per pixel and channel."""
    tf.keras.utils.set_random_seed(7)
    image = tf.keras.Input((32, 32, 3))
    normalization = layers.Normalization(axis=axis)
    normalization.adapt((np.random.default_rng(5).random((64, 32, 32, 3)) * 255).astype(np.float32))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", kernel_initializer="he_normal")(normalization(image))
    x = layers.GlobalAveragePooling2D()(x)
    dense = layers.Dense(5, activation="softmax", kernel_initializer=tf.keras.initializers.RandomNormal(stddev=2))
    return tf.keras.Model(image, dense(x))


def main():
    model = network((2, 3))
    answers = model.predict(pixels(32, 32, 3).astype(np.float32), verbose=0)
    output = os.path.join(folder(NAME), "model.onnx")
    with tempfile.TemporaryDirectory() as scratch:
        model.export(scratch)
        subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", scratch, "--output", output], check=True)
    spec = {"input": {**IMAGE, "normalization": "none"}, "output": {"activation": "softmax"}}
    write_case(NAME, answers, spec, note="Normalization per column and channel, adapted", certainty="read")


main()
