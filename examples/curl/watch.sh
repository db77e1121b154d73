#!/bin/sh
# Usage: watch.sh photo.jpg
# Sends an image, gets its id at once, then prints the states of its prediction as they arrive.
set -eu
url=${INFERQL_URL:-http://127.0.0.1:4000}

# On standard input, because other users of the machine can see a program's arguments.
print_key() {
  [ -z "${INFERQL_KEY:-}" ] || printf 'authorization: Bearer %s\n' "$INFERQL_KEY"
}

accepted=$(print_key | curl -sS --fail-with-body "$url/graphql" -H @- \
  -H 'x-graphql-yoga-csrf: 1' \
  -F operations='{
    "query": "mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id } ... on Error { code message } } }",
    "variables": { "image": null }
  }' \
  -F map='{ "0": ["variables.image"] }' \
  -F 0=@"$1")

id=$(printf '%s' "$accepted" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
[ -n "$id" ] || { printf '%s\n' "$accepted" >&2; exit 1; }

# A subscription may be sent by GET, as a browser's EventSource does.
print_key | curl -sS --fail-with-body -N -G "$url/graphql" -H @- \
  -H 'accept: text/event-stream' \
  --data-urlencode 'query=subscription ($id: ID!) { prediction(id: $id) { status queuePosition result { labels(topK: 3) { name score } } error { code message } } }' \
  --data-urlencode "variables={\"id\":\"$id\"}"
