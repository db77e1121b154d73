"""python make_keras3.py   What Keras 3 exports as ONNX itself; versions are in requirements-keras3.txt."""
import os

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


main()
