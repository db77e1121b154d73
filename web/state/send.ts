import type { AnyVariables, Client, OperationContext, TypedDocumentNode } from '@urql/core';
import { SendPhotographDocument, type SendPhotographMutation } from '../generated/graphql.ts';
import { isPassing, isQueueing, type Problem, readProblem } from '../transport/problem.ts';
import { createUploadFetch } from '../transport/upload-fetch.ts';

/** The prediction as the mutation returns it: accepted, not ended. */
export type Accepted = Extract<SendPhotographMutation['classifyImage'], { __typename: 'Prediction' }>;

export type SendOutcome = { kind: 'accepted'; prediction: Accepted } | { kind: 'refused'; problem: Problem };

interface Photograph {
  file: Blob;
  model: string | undefined;
  /** The same for each attempt, so that a lost answer does not create a second prediction. */
  idempotencyKey: string;
}

interface SendListeners {
  onProgress(sent: number): void;
  /** The image could not be sent for now and is retried. */
  onDelay(problem: Problem): void;
}

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 5_000;
/** A server that does not answer, or a proxy without a server, is given up after this long; a button retries. */
const GIVE_UP_AFTER_MS = 180_000;

/**
 * Sends an image until it is accepted or refused for good. Waits for a full queue as long as it takes; silence and answers of proxies
 * have a limit. Between attempts the place is given back, so that an image that cannot be sent does not block others.
 * @param takePlace resolves with a function that gives the place back
 * @throws the signal's reason when it is aborted
 */
export async function sendPhotograph(
  client: Client,
  { file, model, idempotencyKey }: Photograph,
  { onProgress, onDelay }: SendListeners,
  takePlace: (signal: AbortSignal) => Promise<() => void>,
  signal: AbortSignal,
): Promise<SendOutcome> {
  const variables = { image: file, idempotencyKey, heatmap: true, ...(model !== undefined && { model }) };
  const context = { fetch: createUploadFetch(onProgress) };
  let troubleSinceMs: number | undefined;
  for (let tries = 0; ; tries++) {
    const release = await takePlace(signal);
    let problem: Problem;
    try {
      onProgress(0);
      const result = await mutateOnce(client, SendPhotographDocument, variables, context, signal);
      const answer = result.data?.classifyImage;
      if (answer?.__typename === 'Prediction') return { kind: 'accepted', prediction: answer };
      const found = answer ?? (result.error && readProblem(result.error));
      if (!found) throw new Error('The server answered with neither data nor errors');
      problem = found;
    } finally {
      release();
    }
    // A file that the browser can no longer read looks like a lost connection.
    if (problem.code === 'UNREACHABLE' && !(await isReadable(file))) problem = { code: 'FILE_CHANGED', message: '' };
    if (!isPassing(problem)) return { kind: 'refused', problem };
    troubleSinceMs = isQueueing(problem) ? undefined : (troubleSinceMs ?? performance.now());
    if (troubleSinceMs !== undefined && performance.now() - troubleSinceMs > GIVE_UP_AFTER_MS) {
      return { kind: 'refused', problem: { ...problem, code: `${problem.code}_FOR_LONG` } };
    }
    onDelay(problem);
    await waitFor(problem.retryAfterMs ?? Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** tries), signal);
  }
}

/** Whether the file is unchanged: browsers refuse to read one that was changed, moved or removed. */
async function isReadable(file: Blob): Promise<boolean> {
  return file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
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
