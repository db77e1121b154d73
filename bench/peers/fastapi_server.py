"""FastAPI and ONNX Runtime in one process, no queue: each request runs the model."""

import os

import uvicorn
from classifier import Model, answer, prepare
from fastapi import FastAPI, UploadFile

app = FastAPI()
model = Model()


@app.get("/health")
def health() -> dict:
    return {"ok": True}


# Not async: Starlette runs it in its thread pool.
@app.post("/classify")
def classify(file: UploadFile) -> dict:
    return answer(model.run(prepare(file.file.read())[None])[0])


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
