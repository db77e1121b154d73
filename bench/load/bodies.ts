import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { LoadPlan } from './plan.ts';

const BOUNDARY = 'inferql-bench-7c1e0a52';

export const BODY_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

const HEATMAP = 'heatmap { ... on Heatmap { width height image } }';

const writeMutation = (more: string) => `mutation Classify($image: Upload!, $model: String) {
  classifyImage(image: $image, model: $model) {
    __typename
    ... on Prediction { id status batchSize result { labels(topK: 5) { name index score } ${more} } error { code } }
    ... on Error { code message }
  }
}`;

function part(disposition: string, content: string): string {
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
}

/** Whole request bodies, built once, so that building them does not affect the measurement. */
export function buildBodies(plan: Pick<LoadPlan, 'request' | 'model' | 'images' | 'heatmap'>): Buffer[] {
  const query = writeMutation(plan.heatmap ? HEATMAP : '');
  const operations = JSON.stringify({ query, variables: { image: null, model: plan.model ?? null } });
  const fields =
    plan.request === 'graphql'
      ? part('name="operations"', operations) + part('name="map"', '{"0":["variables.image"]}')
      : '';
  const field = plan.request === 'graphql' ? '0' : 'file';
  return plan.images.map((path) => {
    const type = path.endsWith('.png') ? 'image/png' : 'image/jpeg';
    const head = `${fields}--${BOUNDARY}\r\nContent-Disposition: form-data; name="${field}"; filename="${basename(path)}"\r\nContent-Type: ${type}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), readFileSync(path), Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
  });
}

/** The kind of an answer: undefined for a correct one, else the name it is counted under. */
export function judgeAnswer(
  { request, heatmap }: Pick<LoadPlan, 'request' | 'heatmap'>,
  status: number,
  body: string,
): string | undefined {
  if (request === 'file') return status === 200 && body.includes('"score"') ? undefined : `HTTP ${status}`;
  if (status === 200 && body.includes('"status":"SUCCEEDED"') && body.includes('"score"')) {
    return heatmap && !body.includes('"image":"data:image/png') ? 'no heatmap' : undefined;
  }
  return /"code":"([A-Z_]+)"/.exec(body)?.[1] ?? /"status":"([A-Z]+)"/.exec(body)?.[1] ?? `HTTP ${status}`;
}
