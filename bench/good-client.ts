/** A client that does nothing wrong, together with hostile ones: whatever they do, it must get right answers in time. */

import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import {
  type GraphqlResult,
  openSocket,
  type Socket,
  send,
  subscribeSse,
} from '@inferql/testing/system/graphql-client';

/** Above this the answer is late, whatever the machine does. */
const ANSWER_LIMIT_MS = 35_000;
/** What a client is to send again. */
const RETRYABLE = ['QUEUE_FULL', 'UNAVAILABLE', 'RATE_LIMITED'];
const FIELDS = 'id status result { labels(topK: 1) { index } }';
const WAIT = `mutation ($image: Upload!) { classifyImage(image: $image) {
  __typename ... on Prediction { ${FIELDS} } ... on Error { code } } }`;
const SUBMIT = `mutation ($image: Upload!) { classifyImage(image: $image) {
  __typename ... on Prediction { id } ... on Error { code } } }`;
const FOLLOW = `subscription ($id: ID!) { prediction(id: $id) { ${FIELDS} } }`;

/** How a client gets its result: in the mutation's answer, or from a subscription. */
export const WAYS = ['wait', 'sse', 'socket'] as const;
export type Way = (typeof WAYS)[number];

export interface GoodClient {
  /** Sends one image. @returns its time in milliseconds, or undefined if it was refused, or the answer was wrong or missing */
  classify(way: Way): Promise<number | undefined>;
  answered: number;
  /** Wrong answers, each in a few words. */
  wrong: string[];
  /** Missing answers, each in a few words. */
  lost: string[];
  /** Refusals with a code that time fixes, by code. */
  refused: Record<string, number>;
  close(): Promise<void>;
}

interface Prediction {
  id: string;
  status?: string;
  result?: { labels: { index: number }[] } | null;
}
type Answer = { classifyImage: Prediction };

/** @param url a server's address, without the path of the API */
export function createGoodClient(url: string): GoodClient {
  let turn = 0;
  let socket: Socket | undefined;

  /** The answer with the result, or what came in its place. */
  async function ask(n: number, way: Way, signal: AbortSignal): Promise<GraphqlResult<unknown>> {
    const operation = { query: way === 'wait' ? WAIT : SUBMIT, variables: { image: null } };
    const sent = await send<Answer>(url, { ...operation, files: { image: makePicture(n) } }, signal);
    const id = sent.data?.classifyImage?.id;
    if (way === 'wait' || !id) return sent;
    const follow = { query: FOLLOW, variables: { id } };
    if (socket?.closeCode() !== undefined) socket = undefined;
    if (way === 'socket') socket ??= openSocket(url);
    const states = way === 'sse' ? subscribeSse(url, follow, signal) : socket!.subscribe(follow);
    let last: GraphqlResult<unknown> = {};
    for await (const state of states) {
      last = state;
      signal.throwIfAborted();
    }
    return { ...last, data: { classifyImage: (last.data as { prediction?: Prediction } | undefined)?.prediction } };
  }

  const client: GoodClient = {
    answered: 0,
    wrong: [],
    lost: [],
    refused: {},
    async classify(way) {
      const n = turn++ % 3_000;
      const startedAt = performance.now();
      try {
        const { data, errors } = await ask(n, way, AbortSignal.timeout(ANSWER_LIMIT_MS));
        const code = errors?.[0]?.extensions?.code;
        if (code && RETRYABLE.includes(code)) {
          client.refused[code] = (client.refused[code] ?? 0) + 1;
          return undefined;
        }
        const index = (data as Answer | null | undefined)?.classifyImage?.result?.labels[0]?.index;
        if (index !== expectedClass(n)) {
          client.wrong.push(`${way}: ${JSON.stringify(errors ?? data).slice(0, 300)}`);
          return undefined;
        }
        client.answered++;
        return performance.now() - startedAt;
      } catch (error) {
        const { message, cause } = error as Error;
        client.lost.push(`${way}: ${message}${cause ? ` (${cause})` : ''}`);
        return undefined;
      }
    },
    async close() {
      await socket?.close();
    },
  };
  return client;
}
