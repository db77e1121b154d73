"""LitServe with its batching."""

import os

import litserve
import numpy as np
from classifier import Model, answer, prepare


class Classifier(litserve.LitAPI):
    def setup(self, device) -> None:
        self.model = Model()

    def decode_request(self, request) -> np.ndarray:
        return prepare(request["file"].file.read())

    def batch(self, inputs) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, images) -> np.ndarray:
        return self.model.run(images)

    def unbatch(self, output) -> list:
        return list(output)

    def encode_response(self, output) -> dict:
        return answer(output)


if __name__ == "__main__":
    api = Classifier(max_batch_size=8, batch_timeout=0.005, api_path="/classify")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False)
