"""Makes the small models of this folder with Keras itself, and what Keras answers to the same pixels.

    python3.11 -m venv two && two/bin/pip install tensorflow-cpu==2.15.1 tf_keras==2.15.0 tensorflow_hub==0.16.1 \
        "numpy<2" "protobuf<5" importlib_resources packaging six && two/bin/pip install --no-deps tensorflowjs==4.22.0
    python3.11 -m venv three && three/bin/pip install tensorflow-cpu==2.19.1 keras==3.15.1 tf_keras==2.19.0 \
        tensorflow_hub==0.16.1 importlib_resources packaging six setuptools && three/bin/pip install --no-deps tensorflowjs==4.22.0
    two/bin/python make.py keras2 && three/bin/python make.py keras3

Each becomes <version>.keras and <version>-attention.keras, <version>.h5, a folder <version>-tfjs of the tensorflowjs converter, and <version>.json with
the answers to `pixels()`; <version>-scaled-sum has another model. only.weights.h5 has no layers, keras3-without-constants.onnx not all constants;
keras3-padded-pool.onnx is another model, with its answers, and keras2-with-call.onnx one that nothing runs. The .onnx files need tf2onnx 1.16.1 and onnx
1.17.0, with Keras 2 onnx 1.16.2. make_graph.py makes the graph models."""

import importlib.metadata
import json
import os
import shutil
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

keras = tf.keras
layers = keras.layers
VERSION = sys.argv[1]
THREE = VERSION == "keras3"
HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = 12


def converter():
    """tensorflowjs without what it imports for other formats: empty modules replace it."""
    for name in ("tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["jax"].experimental = sys.modules["jax.experimental"]
    sys.modules["jax.experimental"].jax2tf = sys.modules["jax.experimental.jax2tf"]
    import tensorflowjs

    return tensorflowjs.converters


def pixels():
    """Two images, the same in keras-files.test.ts."""
    count = 2 * SIZE * SIZE * 3
    return ((np.arange(count) * 37 + (np.arange(count) // 7) * 11) % 256).reshape(2, SIZE, SIZE, 3).astype(np.uint8)


def block(filters, activation):
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, filters)) if THREE else layers.InputLayer((SIZE, SIZE, filters)),
            layers.SeparableConv2D(filters, 3, padding="same", activation=activation),
            layers.BatchNormalization(),
        ]
    )


def build():
    """A bit of everything that has gone wrong once: numbers in operations, activations with numbers, lists, nested models."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.Rescaling([1 / 127.5, 1 / 128, 1 / 126], [-1.0, -0.9, -1.1])(x)
    normal = layers.Normalization(axis=-1)
    normal.adapt(np.random.default_rng(1).normal(0.1, 0.7, (8, SIZE, SIZE, 3)).astype(np.float32))
    x = normal(x)
    x = layers.Conv2D(4, 3, padding="same", activation=layers.LeakyReLU())(x)
    x = block(4, "hard_sigmoid")(x)
    gate = layers.ReLU(6.0)(x * 2.0 + 3.0) * (1.0 / 6.0)
    x = x * gate - 0.25
    x = layers.DepthwiseConv2D(3, dilation_rate=2, activation="gelu")(x)
    x = layers.Resizing(5, 6)(x)
    x = block_of_groups(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.4)(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="answer")(x))


def block_of_groups(x):
    x = layers.Conv2D(8, 2, groups=2, activation="relu")(x)
    return layers.PReLU(shared_axes=[1, 2])(x)


def build_attention():
    """A vision transformer of one block."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(6, 4, strides=4)(layers.Rescaling(1 / 255)(inputs))
    x = layers.Reshape((9, 6))(x)
    x = x + layers.MultiHeadAttention(2, 4, value_dim=3)(x, x)
    x = layers.LayerNormalization()(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="answer")(layers.GlobalAveragePooling1D()(x)))


def settle(model):
    rng = np.random.default_rng(7)
    for weight in model.weights:
        name, shape = weight.name.split("/")[-1].split(":")[0], tuple(weight.shape)
        if "count" in name or "seed" in name or weight.dtype not in ("float32", tf.float32):
            continue
        # The adapted mean and variance stay.
        if name in ("mean", "variance"):
            continue
        positive = "variance" in name or "gamma" in name
        fan = max(int(np.prod(shape[:-1])), 1) if len(shape) > 1 else 4
        value = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, np.sqrt(2 / fan), shape)
        weight.assign(value.astype(np.float32))


def predict(model):
    return np.array(model.predict(pixels().astype(np.float32), verbose=0), np.float64).round(8).tolist()


def save_without_constants(file):
    """Keras 3's export to ONNX loses the numbers of Normalization: they become inputs without a value."""
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3600.0, 3500.0, 3400.0])(image)
    model = keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))
    model(pixels().astype(np.float32))
    model.export(file, format="onnx", verbose=False)


def save_padded_pool(file):
    """As ResNet50V2 begins: zeros around values below zero, then the largest of a window. Returns the answers."""
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(6, 3, bias_initializer=keras.initializers.Constant(-90.0))(image)
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.Dense(4, activation="softmax")(layers.Flatten()(x * 0.02))
    model = keras.Model(image, x)
    answers = predict(model)
    model.export(file, format="onnx", verbose=False)
    return answers


def save_scaled_sum(name):
    """As the blocks of InceptionResNetV2 end."""
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 3, strides=3)(layers.Rescaling(1 / 127.5, -1)(image))
    x = CustomScaleLayer(0.17)([x, layers.Conv2D(4, 1)(x)])
    model = keras.Model(image, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    settle(model)
    model.save(os.path.join(HERE, f"{name}.keras"))
    model.save(os.path.join(HERE, f"{name}.h5"))
    with open(os.path.join(HERE, f"{name}.json"), "w") as file:
        json.dump({"answers": predict(model)}, file)
        file.write("\n")


def save_with_call(file):
    """tf2onnx leaves the compiled function of Keras 2's grouped convolutions in the file, as an operator that ONNX does not have."""
    import tf2onnx

    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 3, groups=2)(layers.Conv2D(4, 1)(image))
    model = keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))
    tf2onnx.convert.from_keras(model, output_path=file)


def main():
    keras.utils.set_random_seed(7)
    model = build()
    settle(model)
    answers = predict(model)
    save_scaled_sum(f"{VERSION}-scaled-sum")
    attention = build_attention()
    settle(attention)
    attention.save(os.path.join(HERE, f"{VERSION}-attention.keras"))
    model.save(os.path.join(HERE, f"{VERSION}.keras"))
    model.save(os.path.join(HERE, f"{VERSION}.h5"))
    if not THREE:
        model.save_weights(os.path.join(HERE, "only.weights.h5"))
        save_with_call(os.path.join(HERE, "keras2-with-call.onnx"))
    if THREE:
        save_without_constants(os.path.join(HERE, "keras3-without-constants.onnx"))
        padded = save_padded_pool(os.path.join(HERE, "keras3-padded-pool.onnx"))
        with open(os.path.join(HERE, "keras3-padded-pool.json"), "w") as file:
            json.dump({"answers": padded}, file)
            file.write("\n")
    folder = os.path.join(HERE, f"{VERSION}-tfjs")
    shutil.rmtree(folder, ignore_errors=True)
    converter().save_keras_model(model, folder)
    with open(os.path.join(HERE, f"{VERSION}.json"), "w") as file:
        json.dump({"keras": importlib.metadata.version("keras"), "tensorflow": tf.__version__, "answers": answers, "attention": predict(attention)}, file)
        file.write("\n")
    print(answers)


if __name__ == "__main__":
    main()
