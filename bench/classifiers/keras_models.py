"""The models of keras.applications, in each form that the exporters of Keras 2 and 3 write, for framework.py.

Weights are random: of the scale that keeps activations alive, batch statistics taken from the images, and the last layer scaled so that answers
differ between images."""

import gc
import os
import shutil
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# tfjs' converter does not know the operators that TensorFlow's optimizer for Intel processors writes.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import keras
import numpy as np
import tensorflow as tf

VERSIONS = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
THREE = keras.__version__.startswith("3")
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
# From small to large, 224 pixels wide unless a size is named. ResNetRS and RegNet are in Keras 2 only.
MODELS = """
MobileNetV3Small MobileNetV2 MobileNet MobileNetV3Large EfficientNetB0 EfficientNetV2B0 NASNetMobile RegNetX002 RegNetY002 DenseNet121 ResNet50
ResNet50V2 ConvNeXtTiny InceptionV3:299 Xception:299 ResNetRS50 RegNetX004 RegNetY004 RegNetX006 RegNetY006 RegNetX008 RegNetY008 RegNetX016
RegNetY016 EfficientNetB1:240 EfficientNetV2B1:240 EfficientNetB2:260 EfficientNetV2B2:260 DenseNet169 EfficientNetV2B3:300 EfficientNetB3:300
RegNetX032 RegNetY032 RegNetX040 RegNetY040 DenseNet201 RegNetX064 RegNetY064 ResNet101 ResNet101V2 InceptionResNetV2:299 EfficientNetV2S:384
RegNetX080 RegNetY080 EfficientNetB4:380 ConvNeXtSmall RegNetX120 RegNetY120 ResNet152 ResNet152V2 ResNetRS101 RegNetX160 RegNetY160 ResNetRS152
EfficientNetB5:456 ConvNeXtBase ResNetRS200 RegNetX320 ResNetRS270 VGG16 VGG19 RegNetY320 EfficientNetV2M:480 EfficientNetB6:528 ResNetRS350
ResNetRS420 EfficientNetB7:600 NASNetLarge:331 EfficientNetV2L:480 ConvNeXtLarge ConvNeXtXLarge
"""
FAMILIES = {
    "tf": ("MobileNetV2", "MobileNet", "NASNet", "ResNet50V2", "ResNet101V2", "ResNet152V2", "Xception", "Inception"),
    "torch": ("DenseNet",),
    "caffe": ("ResNet50", "ResNet101", "ResNet152", "VGG"),
}


def normalization(name):
    """What keras.applications' preprocess_input of the family does; the others contain it."""
    if name.startswith(("MobileNetV3", "ResNetRS")):
        return "none"
    return next((kind for kind, names in FAMILIES.items() if name.startswith(names)), "none")


def normalize(pixels, kind):
    x = pixels.astype(np.float32)
    if kind == "tf":
        return x / 127.5 - 1
    if kind == "torch":
        return (x / 255 - MEAN) / DEVIATION
    if kind == "caffe":
        return x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    return x


def walk(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from walk(layer)
        else:
            yield layer


def run(model, x):
    return np.array(model(tf.constant(x), training=False)).reshape(len(x), -1)


def settle(model, x, classes, seed):
    rng = np.random.default_rng(seed)
    for layer in walk(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = True
            layer.momentum = 0.0
        for weight in layer.weights:
            name, shape = weight.name.split("/")[-1].split(":")[0], tuple(weight.shape)
            if "gamma" in name and "layer_scale" not in layer.name:
                value = rng.uniform(0.7, 1.3, shape)
            elif name == "gamma":
                value = rng.uniform(0.2, 0.5, shape)
            elif "beta" in name or name == "bias":
                value = rng.normal(0, 0.1, shape)
            elif "kernel" in name and len(shape) >= 2:
                fan = np.prod(shape[:2] if "depthwise" in name else shape[:-1])
                value = rng.normal(0, np.sqrt(2 / fan), shape)
            else:
                continue
            weight.assign(value.astype(np.float32))
    model(tf.constant(x), training=True)
    heads = [layer for layer in walk(model) if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D)) and layer.weights[0].shape[-1] == classes]
    head = heads[-1]
    activation, head.activation = head.activation, keras.activations.linear
    final = [layer for layer in model.layers if layer is not head and getattr(layer, "activation", None) is keras.activations.softmax]
    saved = [layer.activation for layer in final]
    for layer in final:
        layer.activation = keras.activations.linear
    z = run(model, x)
    scale = 2.5 / max(float((z - z.mean(0)).std()), 1e-6)
    kernel, *bias = head.weights
    kernel.assign(kernel * scale)
    if bias:
        bias[0].assign((np.array(bias[0]) - z.mean(0)) * scale)
    head.activation = activation
    for layer, kept in zip(final, saved):
        layer.activation = kept


def converter():
    """tensorflowjs without what it imports for other formats: empty modules replace it."""
    for name in ("tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["jax"].experimental = sys.modules["jax.experimental"]
    sys.modules["jax.experimental"].jax2tf = sys.modules["jax.experimental.jax2tf"]
    import tensorflowjs

    return tensorflowjs.converters


def save_graph(model, out):
    saved = f"{out}.saved"
    if hasattr(model, "export"):
        model.export(saved)
    else:
        tf.saved_model.save(model, saved)
    converter().convert_tf_saved_model(saved, out)
    shutil.rmtree(saved)


def save_onnx(model, out):
    if THREE:
        return model.export(out, format="onnx", verbose=False)
    import tf2onnx

    return tf2onnx.convert.from_keras(model, (tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name="input"),), output_path=out)


FORMS = {
    "keras": ("model.keras", lambda out: built["model"].save(out)),
    "h5": ("model.h5", lambda out: built["model"].save(out)),
    "tfjs-layers": ("model.json", lambda out: converter().save_keras_model(built["model"], os.path.dirname(out))),
    "tfjs-graph": ("model.json", lambda out: save_graph(built["model"], os.path.dirname(out))),
    "onnx": ("model.onnx", lambda out: save_onnx(built["model"], out)),
}

# The model that the exporters write.
built = {}


def listed():
    for entry in MODELS.split():
        name, _, size = entry.partition(":")
        if hasattr(keras.applications, name):
            yield {"name": name, "size": int(size or 224), "normalization": normalization(name)}


def build(name, images, classes, seed):
    """Returns probabilities or logits per image."""
    built.clear()
    keras.backend.clear_session()
    gc.collect()
    keras.utils.set_random_seed(seed)
    model = getattr(keras.applications, name)(weights=None, classes=classes, input_shape=(*images.shape[1:],))
    x = normalize(images, normalization(name))
    settle(model, x, classes, seed)
    built.update(model=model)
    return run(model, x)
