"""python make_torch.py   Classifiers as both of torch's exporters write them. Versions are in requirements.txt."""
import numpy as np
import torch
from torch import nn

from cases import IMAGE, imagenet, pixels, sigmoid, softmax, write_case
from small_network import Inside, Net, export, first, run, settle


def torch_cases():
    px = pixels(32, 32, 3)
    x = first(imagenet(px))
    torch.manual_seed(7)
    net = settle(Net(), x)
    logits = softmax(run(net, x))
    guess = {"input": {**IMAGE, "normalization": "torch"}, "output": {"activation": "logits"}}
    export(net, x, "torch-dynamo", dynamo=True, dynamic=False)
    write_case("torch-dynamo", logits, guess, note="torch.onnx.export as it is today: batch 1, weights in model.onnx.data")
    export(net, x, "torch-fixed", dynamic=False)
    write_case("torch-fixed", logits, guess, note="the exporter of years, no dynamic axes: batch 1")
    for opset in (7, 8, 9, 13, 17):
        export(net if opset > 13 else settle_plain(), x, f"torch-opset{opset}", opset=opset)
        answers = logits if opset > 13 else softmax(run(settle_plain(), x))
        write_case(f"torch-opset{opset}", answers, guess, note=f"opset {opset}, free batch")
    soft = Net(end=nn.Softmax(1))
    soft.load_state_dict(net.state_dict())
    export(soft.eval(), x, "torch-softmax")
    write_case("torch-softmax", logits, {**guess, "output": {"activation": "softmax"}}, note="ends in Softmax")
    log = Net(end=nn.LogSoftmax(1))
    log.load_state_dict(net.state_dict())
    export(log.eval(), x, "torch-logsoftmax", dynamo=True, dynamic=False, external_data=False)
    write_case("torch-logsoftmax", logits, guess, note="ends in LogSoftmax")
    multi = Net(end=nn.Sigmoid())
    multi.load_state_dict(net.state_dict())
    export(multi.eval(), x, "torch-sigmoid")
    write_case("torch-sigmoid", sigmoid(run(net, x)), {**guess, "output": {"activation": "sigmoid"}}, note="ends in Sigmoid: several labels at once")
    torch.manual_seed(8)
    single = settle(Net(classes=1), x)
    p = sigmoid(run(single, x))
    export(single, x, "torch-binary")
    write_case("torch-binary", np.concatenate([1 - p, p], 1), {**guess, "output": {"activation": "logits-sigmoid"}}, note="one logit: two classes")
    both = Net(features=True)
    both.load_state_dict(net.state_dict())
    export(both.eval(), x, "torch-two-outputs", names=("input", "embedding", "logits"))
    named = {**guess, "output": {"activation": "logits", "name": "logits"}}
    write_case("torch-two-outputs", logits, named, ("--output", "logits"), note="features first, scores second")
    inside = Inside(net).eval()
    export(inside, first(px.astype(np.float32)), "torch-inside")
    none = {**guess, "input": {**IMAGE, "normalization": "none"}}
    write_case("torch-inside", logits, none, note="divides by 255 and normalizes inside the model")
    half = Net()
    half.load_state_dict(net.state_dict())
    export(half.eval().half(), x.half(), "torch-half")
    write_case("torch-half", logits, guess, note="float16 weights and input: within 5e-3")
    torch.manual_seed(9)
    grey = pixels(28, 28, 1)
    gx = first(grey.astype(np.float32) / 255)
    mnist = settle(Net(classes=10, channels=1), gx)
    export(mnist, gx, "torch-grey")
    grey_spec = {"input": {"width": 28, "height": 28, "channels": 1, "normalization": "unit"}, "output": {"activation": "logits"}}
    write_case("torch-grey", softmax(run(mnist, gx)), grey_spec, note="1 x 28 x 28")
    torch.manual_seed(10)
    four = pixels(24, 16, 4)
    fx = first(four.astype(np.float32) / 255)
    rgba = settle(Net(channels=4), fx)
    export(rgba, fx, "torch-rgba")
    rgba_spec = {"input": {"width": 16, "height": 24, "channels": 4, "normalization": "unit"}, "output": {"activation": "logits"}}
    write_case("torch-rgba", softmax(run(rgba, fx)), rgba_spec, note="4 channels, not square")


PLAIN = None


def settle_plain():
    """Without Hardswish, which opset 7 does not have."""
    global PLAIN
    if PLAIN is None:
        torch.manual_seed(11)
        net = Net()
        net.body[2] = nn.ReLU()
        PLAIN = settle(net, first(imagenet(pixels(32, 32, 3))))
    return PLAIN


if __name__ == "__main__":
    torch_cases()
