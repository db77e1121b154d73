"""python make_keras3.py   What Keras 3 exports as ONNX itself; versions are in requirements-keras3.txt."""
import json
import os

import keras
import numpy as np
from keras import layers

HERE = os.path.dirname(os.path.abspath(__file__))


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
    count = 32 * 32 * 3
    rows = [(np.arange(count, dtype=np.int64) * (7919 + 2 * k) + 31 * k) % 251 for k in range(3)]
    pixels = np.stack(rows).astype(np.uint8).reshape(3, 32, 32, 3)
    answers = model.predict(pixels.astype(np.float32), verbose=0).astype(float).round(7).tolist()
    spec = {"input": {"width": 32, "height": 32, "channels": 3, "normalization": "none"}, "output": {"activation": "softmax"}}
    os.makedirs(os.path.join(HERE, "keras3-export"), exist_ok=True)
    model.export(os.path.join(HERE, "keras3-export", "model.onnx"), format="onnx")
    note = "Keras 3's own export: channels last, a Rescaling layer inside"
    with open(os.path.join(HERE, "answers", "keras3-export.json"), "w") as file:
        json.dump({"note": note, "flags": [], "spec": spec, "answers": answers}, file, indent=1)


main()
