/** Decides what an error reveals to clients, and logs the rest. */

import { ERRORS, type ErrorCode, InferqlError } from '@inferql/queue/error-codes';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from 'pino';
import { RateLimitedError } from '../../access/caller-limits.ts';
import type { Config } from '../../config.ts';
import { rateLimitHeaders } from '../responses/rate-limit-headers.ts';

/**
 * What a caller sees of an error: those of the table with their code, those of GraphQL as they are, and no detail of all
 * others.
 * @example
 * createYoga({ schema: inferql.schema, context, maskedErrors: { maskError } });
 */
export function maskError(error: unknown): GraphQLError {
  const graphqlError = error instanceof GraphQLError ? error : undefined;
  const original = findOriginal(error);
  if (original instanceof InferqlError) return describe(original, graphqlError);
  if (original instanceof GraphQLError) return withCode(graphqlError ?? original);
  return describe(new InferqlError('INTERNAL_SERVER_ERROR'), graphqlError);
}

/**
 * GraphQL's errors about syntax and variables have no code. An error with a path is a resolver's, also of a host application, which decides on
 * its code.
 */
export function withCode(error: GraphQLError, code: ErrorCode | 'GRAPHQL_PARSE_FAILED' = 'BAD_REQUEST'): GraphQLError {
  if (error.path || error.extensions.code !== undefined) return error;
  return new GraphQLError(error.message, { ...placeOf(error), extensions: { ...error.extensions, code } });
}

/** Long enough for every message of InferQL; a client's input is not returned in full. */
const MAX_MESSAGE_LENGTH = 500;

function shorten(error: GraphQLError): GraphQLError {
  if (error.message.length <= MAX_MESSAGE_LENGTH) return error;
  const message = `${error.message.slice(0, MAX_MESSAGE_LENGTH)}…`;
  return new GraphQLError(message, { ...placeOf(error), extensions: error.extensions });
}

/** Truncates GraphQL's messages about documents and variables, which may quote either. */
export function useShortMessages(): Plugin {
  return {
    onParse: () => (payload: { result: unknown; replaceParseResult(result: Error): void }) => {
      if (payload.result instanceof GraphQLError) payload.replaceParseResult(shorten(payload.result));
    },
    onValidate: () => (payload: { valid: boolean; result: readonly unknown[]; setResult(errors: unknown[]): void }) => {
      if (payload.valid) return;
      payload.setResult(payload.result.map((error) => (error instanceof GraphQLError ? shorten(error) : error)));
    },
  } as unknown as Plugin;
}

/** Masks errors, and the names of types and fields in GraphQL's messages if introspection is off. */
export function createMask({ introspection }: Pick<Config, 'introspection'>): (error: unknown) => GraphQLError {
  return (error) => {
    const masked = shorten(maskError(error));
    return introspection ? masked : withoutHint(masked);
  };
}

/** For results of subscriptions, which have no separate HTTP answer: logs and masks errors. */
export function createResultMask(config: Pick<Config, 'introspection'>, log: Logger): (error: unknown) => GraphQLError {
  const mask = createMask(config);
  return (error) => {
    logError(log, error);
    return withoutHttp(mask(error));
  };
}

/** The error without GraphQL's suggestions. */
export function withoutHint(error: GraphQLError): GraphQLError {
  const message = error.message.replace(/ ?Did you mean .+\?$/, '');
  return message === error.message
    ? error
    : new GraphQLError(message, { ...placeOf(error), extensions: error.extensions });
}

/** Resolvers' errors arrive wrapped, once per layer that passed them on. */
function findOriginal(error: unknown): unknown {
  let original = error;
  while (original instanceof GraphQLError && original.originalError) original = original.originalError;
  return original;
}

function describe(error: InferqlError, at: GraphQLError | undefined): GraphQLError {
  const { code, message, retryAfterMs } = error;
  const { httpStatus } = ERRORS[code];
  const headers = {
    ...(retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }),
    ...(error instanceof RateLimitedError ? rateLimitHeaders(error.limit) : {}),
    ...(code === 'UNAUTHENTICATED' ? { 'www-authenticate': 'Bearer' } : {}),
  };
  return new GraphQLError(message, {
    ...(at && placeOf(at)),
    extensions: {
      code,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(httpStatus === 200
        ? {}
        : { http: { status: httpStatus, ...(Object.keys(headers).length > 0 ? { headers } : {}) } }),
    },
  });
}

/** An HTTP status other than 200 is for answers without data: with data, an error concerns only its field. */
export function usePartialResultStatus(): Plugin {
  return {
    onExecutionResult({ result, setResult }) {
      if (!result || Array.isArray(result) || !('errors' in result) || !result.errors || !result.data) return;
      if (!result.errors.some(({ extensions }) => extensions?.http)) return;
      setResult({ ...result, errors: result.errors.map(withoutHttp) });
    },
  };
}

/** The error without what only an HTTP answer needs. */
function withoutHttp(error: GraphQLError): GraphQLError {
  if (!error.extensions?.http) return error;
  const { http: _http, ...extensions } = error.extensions;
  return new GraphQLError(error.message, { ...placeOf(error), extensions });
}

/** The error's position in the document and in the answer. */
function placeOf({ nodes, source, positions, path }: GraphQLError) {
  return { nodes: nodes ?? null, source: source ?? null, positions: positions ?? null, path: path ?? null };
}

/** An error that callers see as 'Unexpected error.' is logged in full. An error with a code is not a fault of the server. */
export function logError(log: Logger, error: unknown): void {
  const cause = findOriginal(error);
  if (cause instanceof GraphQLError) return;
  if (cause instanceof InferqlError && cause.code !== 'INTERNAL_SERVER_ERROR') log.debug({ err: cause }, 'refused');
  else log.error({ err: cause }, 'unexpected error');
}
