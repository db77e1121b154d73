"""What Keras 3 exports as ONNX itself; versions are in requirements-keras3.txt.

    python make_keras3.py && KERAS_BACKEND=torch python make_keras3.py torch

The second with torch, onnx and numpy of requirements.txt."""
import os
import sys

import keras
import numpy as np
from keras import layers

from cases import IMAGE, folder, pixels, write_case


def main():
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, strides=2),
            layers.BatchNormalization(),
            layers.Activation("hard_sigmoid"),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    answers = model.predict(pixels(32, 32, 3).astype(np.float32), verbose=0)
    model.export(os.path.join(folder("keras3-export"), "model.onnx"), format="onnx")
    spec = {"input": {**IMAGE, "normalization": "none"}, "output": {"activation": "softmax"}}
    write_case("keras3-export", answers, spec, note="Keras 3's own export: channels last, a Rescaling layer inside")



def export_with_torch():
    """PyTorch's exporter writes the file, and the model is one of Keras all the same: no normalization of ImageNet."""
    keras.utils.set_random_seed(7)
    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(layers.Conv2D(8, 3, strides=2, kernel_initializer="he_normal")(image))
    dense = layers.Dense(5, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=2))
    model = keras.Model(image, dense(layers.GlobalAveragePooling2D()(x)))
    answers = model.predict(pixels(32, 32, 3).astype(np.float32) / 255, verbose=0)
    model.export(os.path.join(folder("keras3-torch-export"), "model.onnx"), format="onnx")
    spec = {"input": {**IMAGE, "normalization": "unit", "resize": "tensorflow-bilinear"}, "output": {"activation": "softmax"}}
    write_case("keras3-torch-export", answers, spec, note="Keras 3's own export with its backend for PyTorch")


export_with_torch() if sys.argv[1:] == ["torch"] else main()
