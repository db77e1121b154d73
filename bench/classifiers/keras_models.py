"""Makes models of keras.applications with the framework itself, in each form that its exporters write.

    python keras_models.py list                 one line of JSON per model: name, size in pixels, normalization
    python keras_models.py make                 reads {"name", "pixels", "out"} per line, answers with {"answers", "forms"} or {"error"}

`pixels` is a file of uint8 images, `out` an empty folder. Weights are random: of the scale that keeps activations alive, batch statistics
taken from the images, and the last layer scaled so that answers differ between images."""

import contextlib
import io
import json
import os
import shutil
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

keras = tf.keras
THREE = keras.__version__.startswith("3")
CLASSES = 20
SEED = 7
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
# In the order of their size. ResNetRS and RegNet are in Keras 2 only.
SIZES = {
    224: "MobileNetV3Small MobileNetV2 MobileNet NASNetMobile MobileNetV3Large EfficientNetB0 EfficientNetV2B0 RegNetX002 RegNetY002 RegNetX004 RegNetY004 "
    "RegNetX006 RegNetY006 DenseNet121 RegNetX008 RegNetY008 RegNetX016 RegNetY016 DenseNet169 ResNet50 ResNet50V2 RegNetX032 RegNetY032 DenseNet201 "
    "RegNetX040 RegNetY040 RegNetX064 RegNetY064 ConvNeXtTiny ResNet101 ResNet101V2 ConvNeXtSmall RegNetX080 RegNetY080 ResNet152 ResNet152V2 RegNetX120 "
    "RegNetY120 ResNetRS50 ResNetRS101 ResNetRS152 ResNetRS200 ResNetRS270 ResNetRS350 ResNetRS420 RegNetX160 RegNetY160 ConvNeXtBase RegNetX320 VGG16 VGG19 "
    "RegNetY320 ConvNeXtLarge ConvNeXtXLarge",
    240: "EfficientNetB1 EfficientNetV2B1",
    260: "EfficientNetB2 EfficientNetV2B2",
    299: "Xception InceptionV3 InceptionResNetV2",
    300: "EfficientNetB3 EfficientNetV2B3",
    331: "NASNetLarge",
    380: "EfficientNetB4",
    384: "EfficientNetV2S",
    456: "EfficientNetB5",
    480: "EfficientNetV2M EfficientNetV2L",
    528: "EfficientNetB6",
    600: "EfficientNetB7",
}
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
    return np.concatenate([np.array(model(tf.constant(x[i : i + 1]), training=False)) for i in range(len(x))]).reshape(len(x), -1)


def settle(model, x):
    rng = np.random.default_rng(SEED)
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
    heads = [layer for layer in walk(model) if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D)) and layer.weights[0].shape[-1] == CLASSES]
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
    """tensorflowjs without what it imports for other formats: empty modules stand in."""
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
    "keras": ("model.keras", lambda model, out: model.save(out)),
    "h5": ("model.h5", lambda model, out: model.save(out)),
    "tfjs-layers": ("layers/model.json", lambda model, out: converter().save_keras_model(model, os.path.dirname(out))),
    "tfjs-graph": ("graph/model.json", lambda model, out: save_graph(model, os.path.dirname(out))),
    "onnx": ("onnx/model.onnx", save_onnx),
}


def make(name, pixels, out, forms):
    size = next(size for size, names in SIZES.items() if name in names.split())
    keras.backend.clear_session()
    keras.utils.set_random_seed(SEED)
    model = getattr(keras.applications, name)(weights=None, classes=CLASSES, input_shape=(size, size, 3))
    x = normalize(np.fromfile(pixels, np.uint8).reshape(-1, size, size, 3), normalization(name))
    settle(model, x)
    answers = run(model, x).astype(np.float64)
    # Without weights of ImageNet, some families end in logits.
    if not (np.all(answers >= 0) and np.allclose(answers.sum(-1), 1, atol=1e-3)):
        answers = np.exp(answers - answers.max(-1, keepdims=True))
        answers /= answers.sum(-1, keepdims=True)
    made = {}
    for form in forms:
        file, save = FORMS[form]
        target = os.path.join(out, file)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            save(model, target)
            made[form] = {"file": file}
        except Exception as error:
            made[form] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    return {"answers": answers.round(8).tolist(), "forms": made}


def main():
    if sys.argv[1] == "list":
        for size, names in SIZES.items():
            for name in names.split():
                if hasattr(keras.applications, name):
                    print(json.dumps({"name": name, "size": size, "normalization": normalization(name)}))
        return
    print(json.dumps({"versions": f"Keras {keras.__version__}, TensorFlow {tf.__version__}", "forms": list(FORMS)}), flush=True)
    answers = sys.stdout
    for line in sys.stdin:
        task = json.loads(line)
        # Exporters print.
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                answer = make(task["name"], task["pixels"], task["out"], task["forms"])
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


main()
