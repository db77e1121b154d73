"""Makes models with their framework, in each form that its exporters write.

    python framework.py keras|torchvision

Prints one line of JSON with the models (name, size in pixels, normalization), versions and forms; then answers one line of JSON per task:
        {"build": name, "pixels": file}             answers {"answers": probabilities per image}
        {"export": form, "out": folder}             writes the last model, answers {"file": path in the folder}

A task that fails answers {"error"}. `pixels` has uint8 images, height x width x RGB each."""

import contextlib
import gc
import importlib
import io
import json
import os
import sys
import threading
import time

import numpy as np

CLASSES = 20
SEED = 7


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def build(collection, name, pixels):
    [model] = [model for model in collection.listed() if model["name"] == name]
    images = np.fromfile(pixels, np.uint8).reshape(-1, model["size"], model["size"], 3)
    answers = collection.build(name, images, CLASSES, SEED).astype(np.float64)
    # Without published weights, some families end in logits.
    if not (np.all(answers >= 0) and np.allclose(answers.sum(-1), 1, atol=1e-3)):
        answers = softmax(answers)
    # Answers of zeros and ones agree whatever a converter does.
    if np.median(answers.max(-1)) > 0.99:
        raise ValueError("the answers are zeros and ones, so that a comparison shows nothing")
    return {"answers": answers.round(8).tolist()}


def export(collection, form, out):
    file, write = collection.FORMS[form]
    target = os.path.join(out, file)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    write(target)
    return {"file": file}


def perform(collection, task):
    try:
        if "build" in task:
            return build(collection, task["build"], task["pixels"])
        return export(collection, task["export"], task["out"])
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def collect_as_memory_grows():
    """Searches for cycles once per GB, since graphs that were copied and never collected took more than 20 GB."""
    collected = resident_bytes()
    while True:
        time.sleep(0.2)
        if resident_bytes() > collected + 2**30:
            gc.collect()
            collected = resident_bytes()


def resident_bytes():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    collection = importlib.import_module(f"{sys.argv[1]}_models")
    # Exporters copy graphs of many small objects: searching them for cycles as often as Python does takes a third of the time.
    gc.disable()
    threading.Thread(target=collect_as_memory_grows, daemon=True).start()
    answers = sys.stdout
    start = {"models": list(collection.listed()), "versions": collection.VERSIONS, "forms": list(collection.FORMS)}
    print(json.dumps(start), flush=True)
    for line in sys.stdin:
        # Exporters print.
        with contextlib.redirect_stdout(io.StringIO()):
            answer = perform(collection, json.loads(line))
        gc.collect()
        print(json.dumps(answer), file=answers, flush=True)


main()
