"""python make_half.py keras2|keras3   Files with weights of 16 bits, of Keras 2.15.0 (TensorFlow 2.15.1) or 3.15.1 (TensorFlow 2.19.1).

The answers are those of a float32 model with the same weights."""
import json
import os

import keras
import numpy as np
from keras import layers

from make import HERE, VERSION, predict, settle, SIZE

THREE = VERSION == "keras3"


def build(policy):
    (keras.config.set_dtype_policy if THREE else keras.mixed_precision.set_global_policy)(policy)
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(3, 3, strides=2)(layers.Rescaling(1 / 127.5, -1)(image))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(5, activation="softmax", name="answer")(layers.GlobalAveragePooling2D()(x)))


def main():
    whole = build("float32")
    settle(whole)
    half = build("float16")
    half.set_weights([np.asarray(weight).astype(np.float16) for weight in whole.get_weights()])
    whole.set_weights([np.asarray(weight).astype(np.float32) for weight in half.get_weights()])
    for extension in ("keras", "h5"):
        half.save(os.path.join(HERE, f"{VERSION}-half.{extension}"))
    with open(os.path.join(HERE, f"{VERSION}-half.json"), "w") as file:
        json.dump({"answers": predict(whole)}, file)
        file.write("\n")
    if THREE:
        build("bfloat16").save(os.path.join(HERE, "refused", "bfloat16.keras"))


main()
