import type { AnyVariables, Client, OperationContext, TypedDocumentNode } from '@urql/core';
import { SendPhotographDocument, type SendPhotographMutation } from '../generated/graphql.ts';
import { isPassing, type Problem, readProblem } from '../transport/problem.ts';
import { createUploadFetch } from '../transport/upload-fetch.ts';

/** The prediction as the mutation gives it: accepted, not ended. */
export type Accepted = Extract<SendPhotographMutation['classifyImage'], { __typename: 'Prediction' }>;

export type SendOutcome = { kind: 'accepted'; prediction: Accepted } | { kind: 'refused'; problem: Problem };

interface Photograph {
  file: Blob;
  model: string | undefined;
  /** The same for each try, so that an answer that was lost does not make a second prediction. */
  idempotencyKey: string;
}

interface SendListeners {
  onProgress(sent: number): void;
  /** The photograph could not be sent for now; it is tried again. */
  onDelay(problem: Problem): void;
}

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 5_000;

/**
 * Sends a photograph until it is accepted or refused for good. Full queues, lost connections and servers that restart are waited
 * for, as long as it takes.
 * @throws the signal's reason when it is aborted
 */
export async function sendPhotograph(
  client: Client,
  { file, model, idempotencyKey }: Photograph,
  { onProgress, onDelay }: SendListeners,
  signal: AbortSignal,
): Promise<SendOutcome> {
  for (let tries = 0; ; tries++) {
    onProgress(0);
    const variables = { image: file, idempotencyKey, heatmap: true, ...(model !== undefined && { model }) };
    const result = await mutateOnce(
      client,
      SendPhotographDocument,
      variables,
      { fetch: createUploadFetch(onProgress) },
      signal,
    );
    const answer = result.data?.classifyImage;
    if (answer?.__typename === 'Prediction') return { kind: 'accepted', prediction: answer };
    const problem = answer ?? (result.error && readProblem(result.error));
    if (!problem) throw new Error('The server answered with neither data nor errors');
    if (!isPassing(problem)) return { kind: 'refused', problem };
    onDelay(problem);
    const ownWaitMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
    await waitFor(('retryAfterMs' in problem && problem.retryAfterMs) || ownWaitMs, signal);
  }
}

/** Sends a mutation; aborting the signal aborts the request. */
function mutateOnce<Data, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  context: Partial<OperationContext>,
  signal: AbortSignal,
) {
  return new Promise<Awaited<ReturnType<typeof client.mutation<Data, Variables>>>>((resolve, reject) => {
    signal.throwIfAborted();
    const { unsubscribe } = client.mutation(document, variables, context).subscribe((result) => resolve(result));
    signal.addEventListener(
      'abort',
      () => {
        unsubscribe();
        reject(signal.reason);
      },
      { once: true },
    );
  });
}

function waitFor(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, durationMs);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
