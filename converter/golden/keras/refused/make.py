"""python make.py   Files of Keras 3.15.1 (TensorFlow 2.19.1) that are refused, each for a reason that its user must be able to read."""
import os

import keras
from keras import layers

HERE = os.path.dirname(os.path.abspath(__file__))


@keras.saving.register_keras_serializable()
class Classifier(keras.Model):
    """A model as a subclass: the file has its weights and its name."""

    def __init__(self, **options):
        super().__init__(**options)
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(3, activation="softmax")

    def call(self, images):
        return self.head(self.pool(images / 255))


def network(shape, order):
    images = keras.Input(shape)
    x = layers.Conv2D(2, 3, strides=2, activation="relu", data_format=order)(layers.Rescaling(1 / 255)(images))
    return keras.Model(images, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D(data_format=order)(x)))


def save(name, model):
    model.save(os.path.join(HERE, f"{name}.keras"))


keras.utils.set_random_seed(4)
own = Classifier()
own(keras.ops.zeros((1, 16, 16, 3)))
save("subclass", own)
save("channels-first", network((3, 16, 16), "channels_first"))
images = keras.Input((16, 16, 3))
x = layers.Conv2D(2, 3, data_format="channels_first")(layers.Permute((3, 1, 2))(images))
save("channels-first-inside", keras.Model(images, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D(data_format="channels_first")(x))))
quantized = network((16, 16, 3), "channels_last")
quantized.quantize("int8")
save("int8", quantized)
