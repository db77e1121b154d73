"""python make_tensorflow.py [name ...]   The models that tf2onnx converts; versions are in requirements-tensorflow.txt."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from cases import IMAGE, folder, pixels, softmax, write_case


def converted():
    tf.keras.utils.set_random_seed(7)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    answers = model.predict(pixels(32, 32, 3).astype(np.float32), verbose=0)
    spec = {"input": {**IMAGE, "normalization": "none"}, "output": {"activation": "softmax"}}
    with tempfile.TemporaryDirectory() as scratch:
        saved, lite = os.path.join(scratch, "saved"), os.path.join(scratch, "model.tflite")
        model.export(saved)
        with open(lite, "wb") as file:
            file.write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        for name, source, note in (
            ("tf2onnx-saved-model", ["--saved-model", saved], "a Keras model with a Rescaling layer, exported as SavedModel, converted by tf2onnx: channels last"),
            ("tf2onnx-tflite", ["--tflite", lite], "the same as .tflite, converted by tf2onnx"),
        ):
            output = os.path.join(folder(name), "model.onnx")
            subprocess.run([sys.executable, "-m", "tf2onnx.convert", *source, "--output", output], check=True)
            write_case(name, answers, spec, note=note)


def beginner():
    """The quickstart for beginners: images of 28 x 28 without channels, in 0..1, and logits."""
    tf.keras.utils.set_random_seed(8)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Flatten(input_shape=(28, 28)), layers.Dense(16, activation="relu"), layers.Dropout(0.2), layers.Dense(10)]
    )
    answers = softmax(model.predict(pixels(28, 28, 1)[..., 0].astype(np.float32) / 255, verbose=0).astype(np.float64))
    with tempfile.TemporaryDirectory() as scratch:
        saved = os.path.join(scratch, "saved")
        model.export(saved)
        output = os.path.join(folder("tf2onnx-without-channels"), "model.onnx")
        subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", saved, "--output", output], check=True)
    spec = {"input": {"width": 28, "height": 28, "channels": 1, "normalization": "unit"}, "output": {"activation": "logits"}}
    write_case("tf2onnx-without-channels", answers, spec, note="TensorFlow's quickstart for beginners: gray images without channels")


def quantized():
    """Full integer quantization: whole numbers in and out. One takes bytes, one -1..1; the answers are those of the TensorFlow Lite interpreter."""
    layers = tf.keras.layers
    px = pixels(32, 32, 3).astype(np.float32)
    seen = np.concatenate([px, np.random.default_rng(3).integers(0, 256, (20, 32, 32, 3)).astype(np.float32)])
    for name, dtype, front, normalization in (
        ("tf2onnx-tflite-uint8", tf.uint8, [layers.Rescaling(1 / 127.5, offset=-1)], "none"),
        ("tf2onnx-tflite-int8", tf.int8, [], "tf"),
    ):
        tf.keras.utils.set_random_seed(9)
        body = [layers.Conv2D(8, 3, strides=2, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(5, activation="softmax")]
        model = tf.keras.Sequential([layers.Input((32, 32, 3)), *front, *body])
        model.layers[-1].kernel.assign(model.layers[-1].kernel * 12)
        change = (lambda x: x) if front else (lambda x: x / 127.5 - 1)
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([change(seen[i : i + 1])] for i in range(len(seen)))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = dtype
        lite = converter.convert()
        interpreter = tf.lite.Interpreter(model_content=lite)
        interpreter.allocate_tensors()
        (inside,), (outside,) = interpreter.get_input_details(), interpreter.get_output_details()
        answers = []
        for i in range(len(px)):
            scale, zero = inside["quantization"]
            lowest, highest = np.iinfo(inside["dtype"]).min, np.iinfo(inside["dtype"]).max
            given = np.clip(np.round(change(px[i : i + 1]) / scale + zero), lowest, highest).astype(inside["dtype"])
            interpreter.set_tensor(inside["index"], given)
            interpreter.invoke()
            scale, zero = outside["quantization"]
            answers.append((interpreter.get_tensor(outside["index"])[0].astype(np.float64) - zero) * scale)
        with tempfile.TemporaryDirectory() as scratch:
            source = os.path.join(scratch, "model.tflite")
            with open(source, "wb") as file:
                file.write(lite)
            output = os.path.join(folder(name), "model.onnx")
            subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--tflite", source, "--output", output], check=True)
        spec = {"input": {**IMAGE, "normalization": normalization}, "output": {"activation": "softmax"}}
        write_case(name, answers, spec, note=f"TensorFlow Lite with {inside['dtype'].__name__} in and out")


def mapped():
    """As models for serving prepare their images: each alone, by tf.map_fn, which is a Loop."""
    tf.keras.utils.set_random_seed(10)
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(8, 3, strides=2, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(5)])
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 15)
    px = pixels(32, 32, 3).astype(np.float32)
    for name, prepare, note in (
        ("tf2onnx-map", lambda image: image / 127.5 - 1, "tf.map_fn scales each image"),
        ("tf2onnx-map-standardized", tf.image.per_image_standardization, "tf.map_fn standardizes each image"),
    ):
        module = tf.Module()
        module.model = model
        module.serve = tf.function(lambda x: model(tf.map_fn(prepare, x)), input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.float32, name="image")])
        with tempfile.TemporaryDirectory() as scratch:
            tf.saved_model.save(module, scratch, signatures=module.serve.get_concrete_function())
            output = os.path.join(folder(name), "model.onnx")
            subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", scratch, "--output", output], check=True)
        spec = {"input": {**IMAGE, "normalization": "none"}, "output": {"activation": "logits"}}
        write_case(name, softmax(module.serve(px).numpy().astype(np.float64)), spec, note=note, certainty="read")


MAKERS = {f.__name__: f for f in (converted, beginner, quantized, mapped)}

for name in sys.argv[1:] or MAKERS:
    MAKERS[name]()
