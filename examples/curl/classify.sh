#!/bin/sh
# Usage: classify.sh photo.jpg
# Sends a photograph and prints the answer, which comes once there is a result.
set -eu
url=${INFERQL_URL:-http://127.0.0.1:4000}

curl -sS --fail-with-body "$url/graphql" \
  -H 'x-graphql-yoga-csrf: 1' \
  -F operations='{
    "query": "mutation ($image: Upload!) { classifyImage(image: $image) { __typename ... on Prediction { id status result { labels { name score } } error { code message } } ... on Error { code message } } }",
    "variables": { "image": null }
  }' \
  -F map='{ "0": ["variables.image"] }' \
  -F 0=@"$1"
