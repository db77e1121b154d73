#!/bin/sh
# Usage: classify.sh photo.jpg
# Sends an image and prints the answer, which comes once there is a result.
set -eu
url=${INFERQL_URL:-http://127.0.0.1:4000}

# On standard input, because other users of the machine can see a program's arguments.
print_key() {
  [ -z "${INFERQL_KEY:-}" ] || printf 'authorization: Bearer %s\n' "$INFERQL_KEY"
}

print_key | curl -sS --fail-with-body "$url/graphql" -H @- \
  -H 'x-graphql-yoga-csrf: 1' \
  -F operations='{
    "query": "mutation ($image: Upload!) { classifyImage(image: $image) { __typename ... on Prediction { id status result { labels { name score } } error { code message } } ... on Error { code message } } }",
    "variables": { "image": null }
  }' \
  -F map='{ "0": ["variables.image"] }' \
  -F 0=@"$1"
