"""Makes a vision transformer as graph models with Keras itself, and what Keras answers to the same pixels. The packages are those of make.py.

    two/bin/python make_graph.py keras2

keras2-transformer-binary has the graph of keras2-transformer as converters before tfjs 1.0 wrote it, as a protobuf with a manifest next to it. Keras 2 writes most of its LayerNormalization as batch
normalizations in training, Dense of sequences with computed shapes, and dilated depthwise convolutions as those of several smaller images."""

import importlib.metadata
import json
import os
import shutil
import sys
import tempfile

# Otherwise TensorFlow fuses LayerNormalization into an op that tfjs' converter refuses (_MklLayerNorm).
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import tensorflow as tf
from google.protobuf import json_format
from make import HERE, SIZE, VERSION, converter, keras, layers, predict, settle


class Token(layers.Layer):
    """Begins each sequence with a row that is learned."""

    def build(self, shape):
        self.row = self.add_weight(name="row", shape=(1, 1, shape[-1]))

    def call(self, x):
        return tf.concat([tf.broadcast_to(self.row, [tf.shape(x)[0], 1, x.shape[-1]]), x], 1)


def build():
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(layers.Rescaling(1 / 255)(image))
    x = layers.ELU(alpha=0.4)(layers.Conv2D(6, 4, strides=4)(x))
    x = layers.Reshape((9, 6))(layers.LayerNormalization()(x))
    x = Token()(x)
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4, value_dim=3)(y, y)
    # A smaller epsilon than a batch normalization may have.
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.Dense(6)(layers.Dense(12, activation="gelu")(y))
    x = layers.LayerNormalization()(x)[:, 0]
    return keras.Model(image, layers.Dense(5, activation="softmax", name="answer")(x))


def save(model, name):
    call = tf.function(lambda image: {"answer": model(image, training=False)})
    signature = call.get_concrete_function(tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="image"))
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(model, saved, signatures=signature)
        converter().convert_tf_saved_model(saved, folder)


def save_binary(name, target):
    source, folder = (os.path.join(HERE, part) for part in (name, target))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    with open(os.path.join(source, "model.json")) as file:
        model = json.load(file)
    os.remove(os.path.join(folder, "model.json"))
    graph = json_format.ParseDict(model["modelTopology"], tf.compat.v1.GraphDef())
    with open(os.path.join(folder, "tensorflowjs_model.pb"), "wb") as file:
        file.write(graph.SerializeToString())
    with open(os.path.join(folder, "weights_manifest.json"), "w") as file:
        json.dump(model["weightsManifest"], file)


def main():
    keras.utils.set_random_seed(7)
    model = build()
    settle(model)
    save(model, f"{VERSION}-transformer")
    save_binary(f"{VERSION}-transformer", f"{VERSION}-transformer-binary")
    with open(os.path.join(HERE, f"{VERSION}-transformer.json"), "w") as file:
        json.dump({"keras": importlib.metadata.version("keras"), "tensorflow": tf.__version__, "answers": predict(model)}, file)
        file.write("\n")


main()
