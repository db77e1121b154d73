import type { CombinedError, ExecutionResult } from '@urql/core';

type GraphQLError = CombinedError['graphQLErrors'][number];

/** A subscription as it is asked for. */
export interface LiveRequest {
  /** Its text. */
  subscription: string;
  /** The text of the query that reads the same fields once. */
  query: string;
  variables: Record<string, unknown>;
}

/** Gets the results of a subscription, then at most one of its two ends. */
export interface LiveSink {
  next(result: ExecutionResult): void;
  error(error: unknown): void;
  complete(): void;
}

/** What all requests of the page's live side are made with. */
export interface LiveServer {
  url: string;
  headers: Record<string, string>;
  /** The server does not let this page in, or no longer. */
  onRefused(): void;
}

/** Sends a GraphQL request, and takes either JSON or what else is accepted. */
export function post(
  { url, headers }: LiveServer,
  accept: string,
  query: string,
  variables: object,
  signal: AbortSignal,
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, 'x-graphql-yoga-csrf': '1', ...headers },
    body: JSON.stringify({ query, variables }),
    signal,
  });
}

/** @returns undefined where the text is no answer of GraphQL's, but a proxy's */
export function parseResult(text: string): ExecutionResult | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || !('data' in parsed || 'errors' in parsed)) return undefined;
    return parsed as ExecutionResult;
  } catch {
    return undefined;
  }
}

/** Whether the server asks for another key. */
export function isRefusal({ errors }: ExecutionResult): boolean {
  return (
    Array.isArray(errors) && (errors[0] as Partial<GraphQLError> | undefined)?.extensions?.code === 'UNAUTHENTICATED'
  );
}
