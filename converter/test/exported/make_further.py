"""python make_further.py [name ...]   What people bring besides plain classifiers; versions are in requirements.txt.

Models that are served go next to those of make_torch.py, with their answers. Those that must be refused go into `refused/`, each with the
sentence that the refusal contains in `refused/sentences.json`."""
import json
import os
import sys

import numpy as np
import onnx
import torch
from torch import nn

from cases import DEVIATION, HERE, IMAGE, MEAN, folder, imagenet, pixels, sigmoid, softmax, write_case
from small_network import Net, export, first, run, settle

PX = pixels(32, 32, 3)
X = first(imagenet(PX))
GUESS = {"input": {**IMAGE, "normalization": "torch"}, "output": {"activation": "logits"}}
SENTENCES = {}


def refuse(name, sentence):
    SENTENCES[name] = sentence
    return f"refused/{name}"


def net(**options):
    torch.manual_seed(7)
    return settle(Net(**options), X)


class Wrapped(nn.Module):
    def __init__(self, inner, forward):
        super().__init__()
        self.inner = inner
        self.call = forward

    def forward(self, x):
        return self.call(self.inner, x)


def training_cases():
    """model.eval() was forgotten: dropout stays active, batch normalization does not."""
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()
            self.dropout = nn.Dropout(0.5)

        def forward(self, x):
            return self.dropout(self.net(x))

    dropping = Dropping().eval()
    dropping.dropout.train()
    export(dropping, X, refuse("dropout", "training mode"), dynamo=True, dynamic=False, external_data=False)
    training = net().train()
    export(training, X, "torch-forgotten-eval", dynamo=True, dynamic=False, external_data=False)
    write_case("torch-forgotten-eval", softmax(run(net(), X)), GUESS, note="model.eval() was forgotten: this exporter uses the trained statistics")
    kept = Dropping().train()
    export(kept, X, refuse("training-export", "training mode"), training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False)


def task_cases():
    inner = net(classes=16)
    unit = Wrapped(inner, lambda m, x: nn.functional.normalize(m(x), dim=1))
    export(unit, X, refuse("metric-learning", "--outputs output=embedding:16"))
    export(inner, X, refuse("vision-tower", "--outputs image_embeds=embedding"), dynamic=False, names=("pixel_values", "image_embeds"))
    maps = Wrapped(nn.Conv2d(3, 5, 3, padding=1), lambda m, x: m(x))
    open_sizes = {"input": {0: "batch", 2: "height", 3: "width"}, "output": {0: "batch", 2: "height", 3: "width"}}
    file = os.path.join(folder(refuse("segmentation", "not a score per class")), "model.onnx")
    torch.onnx.export(maps, (X[:1],), file, input_names=["input"], output_names=["output"], dynamo=False, dynamic_axes=open_sizes)

    def detect(m, x):
        z = m(x)
        boxes = torch.stack([z, z + 1, z + 2, z + 3], 2)[0]
        return boxes, z[0], z[0].to(torch.int64)

    finder = Wrapped(net(), detect)
    export(finder, X, refuse("detection", "detects objects"), dynamic=False, names=("input", "boxes", "scores", "labels"))
    text = Wrapped(nn.Embedding(100, 5), lambda m, x: m(x).mean(1))
    where = os.path.join(folder(refuse("text", "not an image")), "model.onnx")
    torch.onnx.export(text, (torch.zeros(1, 12, dtype=torch.int64),), where, input_names=["input_ids"], output_names=["logits"], dynamo=False)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, image, mask):
            return self.net(image) * mask

    where = os.path.join(folder(refuse("two-inputs", "one input, an image; it has: image, mask")), "model.onnx")
    torch.onnx.export(Two().eval(), (X[:1], torch.ones(1, 5)), where, input_names=["image", "mask"], output_names=["logits"], dynamo=False)


def served_cases():
    plain = net()
    logits = softmax(run(plain, X))
    named = {"input": GUESS["input"], "output": {"activation": "logits", "name": "logits"}}
    answers = Wrapped(plain, lambda m, x: {"logits": m(x), "features": torch.flatten(m.stem(x).mean((2, 3)), 1)})
    export(answers, X, "torch-dict", names=("input", "logits", "features"))
    write_case("torch-dict", logits, named, ("--output", "logits"), note="a module that gives a dict")
    four = os.path.join(folder("torch-batch4"), "model.onnx")
    torch.onnx.export(plain, (torch.cat([X, X])[:4],), four, input_names=["input"], output_names=["output"], dynamo=False)
    write_case("torch-batch4", logits, GUESS, note="a batch of exactly 4")

    def alone(m, x):
        features = m.pool(m.stem(x) + m.body(m.stem(x)))
        return m.head(features.reshape(1, 8))

    export(Wrapped(plain, alone), X, "torch-one-by-one")
    single = {**GUESS, "batching": {"maxBatchSize": 1}}
    write_case("torch-one-by-one", logits, single, note="the batch is open, but a reshape inside is for one image")
    export(plain, X, "torch-unoptimized", dynamo=True, dynamic=False, external_data=False, optimize=False)
    write_case("torch-unoptimized", logits, GUESS, note="the current exporter without its optimizer")
    export(plain, X, "torch-opset22", dynamo=True, dynamic=False, external_data=False, opset=22)
    write_case("torch-opset22", logits, GUESS, note="opset 22")
    model = onnx.load(os.path.join(HERE, "torch-opset17", "model.onnx"))
    folder("onnx-parts/weights")
    for i, tensor in enumerate(model.graph.initializer):
        onnx.external_data_helper.set_external_data(tensor, f"weights/part {i}.bin")
    onnx.save(model, os.path.join(HERE, "onnx-parts", "model.onnx"))
    write_case("onnx-parts", logits, GUESS, note="each weight in a file of a folder next to it")
    torch.manual_seed(8)
    two = settle(Net(classes=2), X, spread=0.2)
    export(Wrapped(two, lambda m, x: torch.sigmoid(m(x))), X, "torch-two-sigmoids")
    write_case("torch-two-sigmoids", sigmoid(run(two, X)), {**GUESS, "output": {"activation": "sigmoid"}}, note="two independent labels")


def single_cases():
    """A module that takes one image without a batch, as for a phone."""
    inner = net()
    file = os.path.join(folder("torch-without-batch"), "model.onnx")
    torch.onnx.export(Wrapped(inner, lambda m, x: m(x.unsqueeze(0))[0]), (X[0],), file, input_names=["input"], output_names=["output"], dynamo=False)
    write_case("torch-without-batch", softmax(run(inner, X)), GUESS, note="one image without a batch")


def precision_cases():
    """Types and operators that onnxruntime does not run."""
    doubles, halves = net().double(), net().bfloat16()
    export(doubles, X.double(), refuse("float64", "export it again in float32"))
    export(halves, X.bfloat16(), refuse("bfloat16", "float64; export it again in float32"))
    export(Wrapped(net(), lambda m, x: nn.functional.gelu(m(x))), X, refuse("later-operator", "has no operator Erf: export it again with opset 17"), opset=8)


def end_cases():
    """What a module may do to the scores of a single image."""
    inner = net()
    squeezed = Wrapped(inner, lambda m, x: torch.softmax(m(x), 1).squeeze(0))
    export(squeezed, X, "torch-squeezed", dynamo=True, dynamic=False, external_data=False)
    answers = np.concatenate([run(squeezed, X[i : i + 1]) for i in range(len(X))])
    write_case("torch-squeezed", answers, {**GUESS, "output": {"activation": "softmax"}}, note="the scores of one image, without a batch")
    best = Wrapped(inner, lambda m, x: m(x).argmax(1).float())
    export(best, X, refuse("argmax", "gives the number of the best class"), dynamic=False)


def caffe_case():
    """As OpenCV reads images: blue first, means of bytes subtracted inside."""
    class Caffe(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
            self.register_buffer("mean", torch.tensor([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1))

        def forward(self, x):
            return self.net(x - self.mean)

    torch.manual_seed(9)
    model = Caffe().eval()
    x = first(PX[..., ::-1].astype(np.float32))
    export(model, x, "torch-caffe")
    spec = {"input": {**IMAGE, "normalization": {"scale": 1, "mean": [0], "std": [1], "order": "bgr"}}, "output": {"activation": "logits"}}
    write_case("torch-caffe", softmax(run(model, x)), spec, note="subtracts the means of blue, green, red: takes BGR bytes")


def statistics_cases():
    """Batch normalization comes first, whose statistics are those of the images in training."""
    for name, x, normalization in (("unit", PX.astype(np.float32) / 255, "unit"), ("torch", imagenet(PX), "torch")):
        torch.manual_seed(10)
        x = first(x)
        model = settle(nn.Sequential(nn.BatchNorm2d(3), Net()), x)
        export(model, x, f"torch-statistics-{name}", opset=17)
        spec = {"input": {**IMAGE, "normalization": normalization}, "output": {"activation": "logits"}}
        write_case(f"torch-statistics-{name}", softmax(run(model, x)), spec, note=f"batch normalization first, trained on {normalization}")


def transforms_case():
    """What evaluation does to tensors of 0..1, inside."""
    from torchvision.transforms import v2

    transforms = v2.Compose([v2.Resize(24, antialias=False), v2.CenterCrop(20), v2.Normalize(MEAN.tolist(), DEVIATION.tolist())])
    x = first(PX.astype(np.float32) / 255)
    torch.manual_seed(11)
    model = Wrapped(settle(Net(), transforms(x)), lambda m, x: m(transforms(x)))
    export(model, x, "torch-transforms", dynamo=True, dynamic=False, external_data=False)
    spec = {"input": {**IMAGE, "normalization": "unit"}, "output": {"activation": "logits"}}
    write_case("torch-transforms", softmax(run(model, x)), spec, note="transforms of torchvision inside: resize, crop, normalization")


def quantized_cases():
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
    import onnxruntime as ort

    x = imagenet(PX).transpose(0, 3, 1, 2)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rows = iter([{"input": x[i : i + 1]} for i in range(len(x))])

        def get_next(self):
            return next(self.rows, None)

    def answers(name):
        session = ort.InferenceSession(os.path.join(HERE, name, "model.onnx"), providers=["CPUExecutionProvider"])
        return softmax(np.concatenate([session.run(None, {"input": x[i : i + 1]})[0] for i in range(len(x))]).astype(np.float64))

    source = os.path.join(HERE, "torch-opset17", "model.onnx")
    quantize_static(source, os.path.join(folder("onnxruntime-qoperator"), "model.onnx"), Reader(), quant_format=QuantFormat.QOperator)
    write_case("onnxruntime-qoperator", answers("onnxruntime-qoperator"), GUESS, note="quantized by onnxruntime (QOperator); its own answers", certainty="likely")
    quantize_dynamic(source, os.path.join(folder("onnxruntime-dynamic"), "model.onnx"))
    alone = {**GUESS, "batching": {"maxBatchSize": 1}}
    write_case("onnxruntime-dynamic", answers("onnxruntime-dynamic"), alone, note="quantize_dynamic; compared with plain onnxruntime on the same processor")


def bytes_case():
    """Bytes in, scaled inside."""
    inner = net()

    class Bytes(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = inner
            self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1))

        def forward(self, x):
            return self.net((x.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std)

    export(Bytes().eval(), torch.from_numpy(PX), "torch-uint8")
    spec = {"input": {**IMAGE, "normalization": "none"}, "output": {"activation": "logits"}}
    write_case("torch-uint8", softmax(run(inner, X)), spec, note="uint8 [N, height, width, 3], scaled inside")


def function_case():
    """The file keeps modules as functions: the last of them holds the softmax, where a reader of the main graph does not see it."""
    class End(nn.Module):
        def __init__(self, head):
            super().__init__()
            self.head = head

        def forward(self, x):
            return torch.softmax(self.head(x), 1)

    class Functions(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.stem, self.pool, self.end = inner.stem, inner.pool, End(inner.head)

        def forward(self, x):
            return self.end(torch.flatten(self.pool(self.stem(x)), 1))

    model = Functions(net()).eval()
    export(model, X, "torch-functions", opset=17, export_modules_as_functions={End, nn.Sequential})
    write_case("torch-functions", run(model, X), {**GUESS, "output": {"activation": "softmax"}}, note="modules kept as functions of the file")


def library_case():
    """Functions of a file: one with a default for its attribute, two of one name that an overload tells apart, and a constant in another file."""
    from onnx import helper, numpy_helper

    matrix = np.random.default_rng(4).normal(size=(5, 5)).astype(np.float32)
    opsets = [helper.make_opsetid("", 18)]
    leaky = helper.make_function("library", "leaky", ["x"], ["y"], [], opsets, attribute_protos=[helper.make_attribute("slope", 0.5)])
    node = helper.make_node("LeakyRelu", ["x"], ["y"])
    node.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    leaky.node.append(node)

    def scale(overload, factor):
        nodes = [helper.make_node("Constant", [], ["f"], value_float=factor), helper.make_node("Mul", ["x", "f"], ["y"])]
        return helper.make_function("library", "scale", ["x"], ["y"], nodes, opsets, overload=overload)

    constant = helper.make_node("Constant", [], ["m"], value=numpy_helper.from_array(matrix, "m"))
    mix = helper.make_function("library", "mix", ["x"], ["y"], [constant, helper.make_node("MatMul", ["x", "m"], ["y"])], opsets)
    model = onnx.load(os.path.join(HERE, "torch-opset17", "model.onnx"))
    inner = net()
    z = torch.from_numpy(run(inner, X)).float().numpy()
    name = model.graph.output[0].name
    for one in model.graph.node:
        one.output[:] = ["logits" if each == name else each for each in one.output]
    call = lambda op, x, y, **more: helper.make_node(op, [x], [y], domain="library", **more)
    model.graph.node.extend([call("leaky", "logits", "bent"), call("mix", "bent", "mixed"), call("scale", "mixed", name, overload="small")])
    model.functions.extend([leaky, scale("small", 0.1), scale("large", 10.0), mix])
    model.opset_import.append(helper.make_opsetid("library", 1))
    model.ir_version = 10
    onnx.checker.check_model(model)
    where = os.path.join(folder("onnx-functions"), "model.onnx")
    onnx.save(model, where, save_as_external_data=True, location="functions.data", size_threshold=0, convert_attribute=True)
    answers = softmax(np.where(z > 0, z, 0.5 * z) @ matrix * 0.1)
    write_case("onnx-functions", answers, GUESS, note="functions with a default attribute, an overload, and a constant in another file")


MAKERS = {f.__name__: f for f in (training_cases, task_cases, served_cases, single_cases, precision_cases, end_cases, caffe_case, statistics_cases, transforms_case, quantized_cases, bytes_case, function_case, library_case)}

if __name__ == "__main__":
    failed = []
    for name in sys.argv[1:] or MAKERS:
        try:
            MAKERS[name]()
        except Exception as error:
            import traceback
            traceback.print_exc(limit=4)
            failed.append(name)
    os.makedirs(os.path.join(HERE, "refused"), exist_ok=True)
    sentences = os.path.join(HERE, "refused", "sentences.json")
    with open(sentences) as file:
        known = json.load(file)
    with open(sentences, "w") as file:
        json.dump({**known, **SENTENCES}, file, indent=1)
        file.write("\n")
    print("failed:", failed)
