/** What the clients of the load generator send. */
import type { Sighting } from '../ledger/protocol.ts';

const FIELDS = 'id status attempts error { code } result { labels(topK: 1) { index } }';
export const SUBMIT = `mutation ($image: Upload!, $key: String!, $timeoutMs: Int) {
  classifyImage(image: $image, idempotencyKey: $key, timeoutMs: $timeoutMs) {
    __typename ... on Prediction { id status } ... on Error { code }
  }
}`;
export const SUBMIT_AND_WAIT = SUBMIT.replace('id status', FIELDS);
export const QUERY = `query ($id: ID!) { prediction(id: $id) { ${FIELDS} } }`;
export const SUBSCRIPTION = `subscription ($id: ID!) { prediction(id: $id) { ${FIELDS} } }`;
export const CANCEL = `mutation ($id: ID!) { cancelPrediction(id: $id) { ${FIELDS} } }`;

/** A prediction, as a client sees it. */
export interface Seen {
  id: string;
  status: string;
  attempts?: number;
  error?: { code: string } | null;
  result?: { labels: { index: number }[] } | null;
}

export function toSighting({ id, status, attempts = 0, error, result }: Seen): Sighting {
  return { id, status, attempts, best: result?.labels[0]?.index, errorCode: error?.code };
}
