"""The bare engine from Python: onnxruntime on prepared images. Prints images per second."""

import sys
import time

import numpy as np
import onnxruntime

model, pixels_path, height, width, channels, batch, threads, duration_ms = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
output = session.get_outputs()[0].name
pixels = np.fromfile(pixels_path, np.uint8).reshape(-1, height, width, channels)
batches = [pixels[at : at + batch] for at in range(0, len(pixels) - batch + 1, batch)]
session.run([output], {name: batches[0]})

runs = 0
started = time.perf_counter()
while time.perf_counter() - started < duration_ms / 1000:
    session.run([output], {name: batches[runs % len(batches)]})
    runs += 1
print(batch * runs / (time.perf_counter() - started))
