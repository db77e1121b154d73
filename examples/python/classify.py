"""Usage: classify.py photo.jpg

Sends an image, watches its prediction over server-sent events, and prints the labels.
"""

import json
import os
import sys

import httpx

CLASSIFY = """
mutation ($image: Upload!) {
  classifyImage(image: $image) {
    __typename
    ... on Prediction { id status }
    ... on Error { code message }
  }
}
"""

WATCH = """
subscription ($id: ID!) {
  prediction(id: $id) {
    status
    queuePosition
    result { labels(topK: 3) { name score } }
    error { code message }
  }
}
"""


def read_data(answer: dict) -> dict:
    if answer.get("errors"):
        raise SystemExit(answer["errors"][0]["message"])
    return answer["data"]


def main(path: str) -> None:
    url = os.environ.get("INFERQL_URL", "http://127.0.0.1:4000")
    headers = {"x-graphql-yoga-csrf": "1"}
    if key := os.environ.get("INFERQL_KEY"):
        headers["authorization"] = f"Bearer {key}"
    # The server sends a comment every 12 seconds.
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        with open(path, "rb") as photo:
            response = client.post(
                "/graphql",
                data={
                    "operations": json.dumps({"query": CLASSIFY, "variables": {"image": None}}),
                    "map": json.dumps({"0": ["variables.image"]}),
                },
                files={"0": photo},
            )
        accepted = read_data(response.json())["classifyImage"]
        if accepted["__typename"] != "Prediction":
            raise SystemExit(f"{accepted['code']}: {accepted['message']}")

        operation = {"query": WATCH, "variables": {"id": accepted["id"]}}
        with client.stream("POST", "/graphql", json=operation, headers={"accept": "text/event-stream"}) as events:
            for line in events.iter_lines():
                if line.startswith("data: ") and line != "data: ":
                    prediction = read_data(json.loads(line.removeprefix("data: ")))["prediction"]
                    print(prediction["status"])

        if prediction["status"] != "SUCCEEDED":
            raise SystemExit(str(prediction["error"]))
        for label in prediction["result"]["labels"]:
            print(f"{label['score']:6.1%}  {label['name']}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
