"""
The ancestor's design: a web process that pushes float32 images as base64 text to a Redis list and polls for the answer, and a
worker that polls the list. `polling_worker.py web` and `polling_worker.py worker`.
"""

import base64
import json
import os
import sys
import time
import uuid

import numpy as np
import redis
from classifier import Model, answer, prepare

QUEUE = "image_queue"
BATCH = 32
POLL_S = 0.25

store = redis.Redis.from_url(os.environ["REDIS_URL"])


def serve() -> None:
    import uvicorn
    from fastapi import FastAPI, UploadFile

    app = FastAPI()

    @app.get("/health")
    def health() -> dict:
        return {"ok": True}

    @app.post("/classify")
    def classify(file: UploadFile) -> dict:
        image = prepare(file.file.read()).astype(np.float32)
        key = str(uuid.uuid4())
        store.rpush(QUEUE, json.dumps({"id": key, "image": base64.b64encode(image.tobytes()).decode()}))
        while True:
            output = store.get(key)
            if output is not None:
                store.delete(key)
                return json.loads(output)
            time.sleep(POLL_S)

    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")


def work() -> None:
    model = Model()
    while True:
        entries = [json.loads(entry) for entry in store.lrange(QUEUE, 0, BATCH - 1)]
        if entries:
            images = [np.frombuffer(base64.b64decode(entry["image"]), np.float32) for entry in entries]
            batch = np.stack(images).reshape(-1, 224, 224, 3).astype(np.uint8)
            for entry, probabilities in zip(entries, model.run(batch)):
                store.set(entry["id"], json.dumps(answer(probabilities)))
            store.ltrim(QUEUE, len(entries), -1)
        time.sleep(POLL_S)


if sys.argv[1] == "web":
    serve()
else:
    work()
