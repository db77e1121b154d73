import type { AnyVariables, Client, TypedDocumentNode } from '@urql/core';
import { isPassing, type Problem, readProblem } from './problem.ts';

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 5_000;

interface Listeners<Data> {
  /** Gets each event; returning true means that it was the last one wanted. */
  onData(data: Data): boolean;
  /** Events stopped for a temporary reason: the last one may be outdated. */
  onBreak?(): void;
  /** Gets a permanent error; the subscription is then over. */
  onProblem?(problem: Problem): void;
}

/**
 * Keeps a subscription through temporary failures: lost connections (the socket reconnects), servers that shut down, and streams
 * that end without a reason.
 * @returns a function that stops it
 */
export function followSubscription<Data, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  { onData, onBreak = () => {}, onProblem = () => {} }: Listeners<Data>,
): () => void {
  let stopped = false;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let subscription: { unsubscribe(): void } | undefined;

  const stop = () => {
    stopped = true;
    clearTimeout(timer);
    subscription?.unsubscribe();
  };
  const again = (waitMs: number) => {
    if (stopped) return;
    subscription?.unsubscribe();
    clearTimeout(timer);
    timer = setTimeout(subscribe, waitMs);
  };
  const subscribe = () => {
    subscription = client.subscription(document, variables).subscribe((result) => {
      if (stopped) return;
      if (result.error) {
        const problem = readProblem(result.error);
        if (!isPassing(problem)) {
          stop();
          onProblem(problem);
          return;
        }
        onBreak();
        failures++;
        again(problem.retryAfterMs ?? Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** failures));
        return;
      }
      failures = 0;
      if (result.data && onData(result.data)) stop();
      else if (!result.hasNext && !stopped) again(FIRST_WAIT_MS);
    });
    if (stopped) subscription.unsubscribe();
  };
  subscribe();
  return stop;
}
