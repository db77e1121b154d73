"""Makes small models as TensorFlow's two tutorials on images build them, with augmentation layers, and what Keras answers to the same pixels.

    python3.11 -m venv three && three/bin/pip install tensorflow-cpu==2.19.1 keras==3.15.1 tf_keras==2.19.0
    three/bin/python make.py && TF_USE_LEGACY_KERAS=1 three/bin/python make.py

The first run is Keras 3, the second Keras 2 (tf_keras). Each becomes <version>-<tutorial>.keras, and answers.json has the model's own outputs for
`pixels()`: logits of "Image classification", a probability of "Transfer learning and fine-tuning"."""

import importlib.metadata
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

keras = tf.keras
layers = keras.layers
LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
NUMBER = importlib.metadata.version("tf_keras" if LEGACY else "keras")
VERSION = "keras2" if LEGACY else "keras3"
HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = 16
CLASSES = 5


def pixels():
    """Two images, the same in keras-tutorials.test.ts: the second is dark."""
    count = 2 * SIZE * SIZE * 3
    values = (np.arange(count) * 37 + (np.arange(count) // 7) * 11) % 256
    values[count // 2 :] //= 3
    return values.reshape(2, SIZE, SIZE, 3).astype(np.float32)


def image_classification():
    """tensorflow.org/tutorials/images/classification, with fewer filters."""
    augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal", input_shape=(SIZE, SIZE, 3)),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
        ]
    )
    return keras.Sequential(
        [
            augmentation,
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(CLASSES, name="outputs"),
        ]
    )


def base_model():
    """In the place of MobileNetV2 without its top."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    return keras.Model(inputs, x, name="base")


def transfer_learning():
    """tensorflow.org/tutorials/images/transfer_learning."""
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    inputs = keras.Input((SIZE, SIZE, 3))
    x = augmentation(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base_model()(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def settle(model):
    rng = np.random.default_rng(7)
    for weight in model.weights:
        name, shape = weight.name.split("/")[-1].split(":")[0], tuple(weight.shape)
        if "seed" in name or "count" in name or "float32" not in str(weight.dtype):
            continue
        positive = "variance" in name or "gamma" in name
        fan = max(int(np.prod(shape[:-1])), 1) if len(shape) > 1 else 4
        value = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, np.sqrt(2 / fan), shape)
        weight.assign(value.astype(np.float32))


def main():
    file = os.path.join(HERE, "answers.json")
    answers = json.load(open(file)) if os.path.exists(file) else {}
    for name, build in (("image-classification", image_classification), ("transfer-learning", transfer_learning)):
        keras.utils.set_random_seed(7)
        model = build()
        settle(model)
        model.save(os.path.join(HERE, f"{VERSION}-{name}.keras"))
        values = np.array(model.predict(pixels(), verbose=0), np.float64).round(8).tolist()
        answers[f"{VERSION}-{name}"] = {"keras": NUMBER, "answers": values}
        print(VERSION, name, values)
    with open(file, "w") as out:
        json.dump(answers, out, indent=1, sort_keys=True)
        out.write("\n")


main()
