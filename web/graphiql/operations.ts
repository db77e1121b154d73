/** A tab of GraphiQL. */
export interface Tab {
  query: string;
  variables?: string;
}

/** One tab per prepared operation. The panel under the editor fills in omitted files and `$id`. */
export const TABS: Tab[] = [
  {
    query: `# Classifies an image.
# Press play, then choose the file.
mutation ClassifyImage($image: Upload!) {
  classifyImage(image: $image) {
    __typename
    ... on Prediction {
      id
      status
      batchSize
      result {
        labels(topK: 5) {
          name
          score
        }
      }
      timings {
        queueMs
        inferenceMs
        totalMs
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`,
  },
  {
    query: `# Returns the id first. The result follows
# in the same response.
mutation ClassifyIdFirst($image: Upload!) {
  classifyImage(image: $image) {
    ... on Prediction {
      id
      queuePosition
      ... @defer {
        status
        result {
          labels {
            name
            score
          }
        }
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`,
  },
  {
    query: `# Classifies several images. A bad file does
# not affect the others.
mutation ClassifyImages($images: [Upload!]!) {
  classifyImages(images: $images) {
    ... on Prediction {
      id
      status
      result {
        labels(topK: 1) {
          name
          score
        }
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`,
  },
  {
    query: `# Answers as soon as the image is queued, because
# no result is selected. Follow it in the next tab.
mutation SubmitImage($image: Upload!) {
  classifyImage(image: $image, heatmap: true, priority: HIGH, timeoutMs: 60000) {
    ... on Prediction {
      id
      status
      queuePosition
    }
    ... on Error {
      code
      message
    }
  }
}
`,
  },
  {
    query: `# Sends the current state, then each change, and
# always the final one. Without variables it follows
# the prediction that was seen last.
subscription FollowPrediction($id: ID!) {
  prediction(id: $id) {
    id
    status
    queuePosition
    estimatedStartMs
    result {
      labels {
        name
        score
      }
    }
    error {
      code
      message
      retryable
    }
  }
}
`,
  },
  {
    query: `# Reads a prediction from any server, with the
# heatmap of its best label.
query ReadPrediction($id: ID!) {
  prediction(id: $id) {
    id
    status
    model
    modelVersion
    attempts
    cached
    createdAt
    startedAt
    finishedAt
    result {
      labels {
        name
        index
        score
      }
      heatmap {
        ... on Heatmap {
          width
          height
          values
        }
        ... on HeatmapUnavailableError {
          message
        }
      }
    }
  }
}
`,
  },
  {
    query: `# Removes a waiting prediction from the queue.
mutation CancelPrediction($id: ID!) {
  cancelPrediction(id: $id) {
    id
    status
  }
}
`,
  },
  {
    query: `# Lists the models, their engines and workers.
query ListModels {
  models {
    name
    version
    description
    engine
    engineReason
    precision
    classCount
    isDefault
    input {
      width
      height
      channels
      shortSide
    }
    heatmap {
      available
      reason
    }
    queue {
      waiting
      processing
      workers {
        id
        imageMs
      }
    }
  }
}
`,
  },
  {
    query: `# Follows the queue of the default model: about
# one event per second while it changes.
subscription FollowQueue {
  queue {
    model
    waiting
    processing
    ratePerSecond
    capacityPerSecond
    latencyMs
    deadLetters
    ended {
      succeeded
      failed
      canceled
      expired
    }
  }
}
`,
  },
];
