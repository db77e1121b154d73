import { renderGraphiQL } from '@graphql-yoga/render-graphiql';
import type { GraphiQLOptions } from 'graphql-yoga';

/** One tab each of ready operations. */
const TABS = [
  `# Classify a photograph. Choose its file for the variable \`image\`.
mutation Classify($image: Upload!) {
  classifyImage(image: $image) {
    ... on Prediction {
      id
      status
      result { labels(topK: 5) { name score } }
      error { code message }
      timings { queueMs inferenceMs totalMs }
      batchSize
    }
    ... on Error { code message }
  }
}`,
  `# The id first, the result later, on one response.
mutation ClassifyDeferred($image: Upload!) {
  classifyImage(image: $image) {
    ... on Prediction {
      id
      queuePosition
      ... @defer { status result { labels { name score } } error { code message } }
    }
    ... on Error { code message }
  }
}`,
  `# Several photographs: one bad file does not harm the others.
mutation ClassifyMany($images: [Upload!]!) {
  classifyImages(images: $images) {
    ... on Prediction { id status result { labels(topK: 1) { name score } } }
    ... on Error { code message }
  }
}`,
  `# Where in the image the model saw the best label.
mutation ClassifyWithHeatmap($image: Upload!) {
  classifyImage(image: $image) {
    ... on Prediction {
      id
      result {
        labels(topK: 1) { name score }
        heatmap { ... on Heatmap { width height image } ... on HeatmapUnavailableError { message } }
      }
    }
    ... on Error { code message }
  }
}`,
  `# Follow a prediction: the present state at once, then its changes, and always the last one.
subscription Follow($id: ID!) {
  prediction(id: $id) { id status queuePosition estimatedStartMs result { labels { name score } } error { code message } }
}`,
  `# A prediction as it is now.
query Look($id: ID!) {
  prediction(id: $id) { id status model modelVersion attempts cached createdAt startedAt finishedAt result { labels { name score index } } }
}`,
  `mutation Cancel($id: ID!) {
  cancelPrediction(id: $id) { id status }
}`,
  `# The models, their queues and their workers.
query Models {
  models {
    name version description engine engineReason precision classCount isDefault
    input { width height channels }
    heatmap { available reason }
    queue { waiting processing ratePerSecond capacityPerSecond latencyMs workers { id imageMs } }
  }
}`,
  `# A queue, about once a second while it changes.
subscription Queue {
  queue { model waiting processing ratePerSecond latencyMs workers { id } ended { succeeded failed } }
}`,
];

/** What the page needs and no more: its scripts are inline, its editor runs in workers made from memory. */
export const GRAPHIQL_POLICY =
  "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; style-src 'unsafe-inline'; font-src data:; img-src 'self' data: blob:; connect-src 'self' ws: wss: blob: data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

export const graphiqlOptions: GraphiQLOptions = {
  title: 'InferQL',
  subscriptionsProtocol: 'GRAPHQL_SSE',
  additionalHeaders: { 'x-graphql-yoga-csrf': 'graphiql' },
  defaultTabs: TABS.map((query) => ({ query })) as NonNullable<GraphiQLOptions['defaultTabs']>,
};

/** The page, whole: nothing in it is loaded from elsewhere. */
export function renderGraphiql(options?: GraphiQLOptions): string {
  return renderGraphiQL(options);
}
