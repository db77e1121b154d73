/** The public types of `createInferQL`. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { PredictionStatus, Priority } from '@inferql/queue/contract';
import type { ErrorCode } from '@inferql/queue/error-codes';
import type { GraphQLSchema } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from 'pino';
import type { CustomAuthenticate, CustomCaller } from '../access/custom-authentication.ts';
import type { Hooks } from '../predictions/host-hooks.ts';
import type { ServerContext } from '../schema/context.ts';
import type { InlineOptions } from './inline.ts';
import type { Limits } from './options.ts';

export interface InferQLOptions {
  /** Redis 7 or later. @default redis://127.0.0.1:6379 */
  redisUrl?: string;
  /**
   * Runs a worker in this process and, unless `redisUrl` is given, a private Redis: for a laptop. Needs the packages @inferql/worker and
   * @inferql/launcher. @default false
   */
  runInline?: boolean | InlineOptions;
  /** First part of every Redis key and channel; the workers need the same. @default inferql */
  prefix?: string;
  /** Path of the GraphQL endpoint, for HTTP, SSE and WebSocket. @default /graphql */
  endpoint?: string;
  /** Identifies the caller of a request. Null refuses it as UNAUTHENTICATED. @default everyone is one anonymous caller */
  authenticate?: CustomAuthenticate;
  /** Yoga plugins, run after InferQL's. @default none */
  plugins?: Plugin[];
  /** Adds to the schema, for example with graphql's `extendSchema` or a tool that merges schemas. @default the schema as it is */
  extendSchema?: (schema: GraphQLSchema) => GraphQLSchema;
  /** Makes the schema an Apollo Federation v2 subgraph, with `Prediction` as an entity. @default false */
  federation?: boolean;
  /** Called during a prediction. @default none */
  hooks?: Hooks;
  /** Limits of one request's size and cost. @default the server's settings */
  limits?: Limits;
  /** Limits of each tenant, such as `500ms/s:5000,100000images/month`: see docs/security.md. @default none */
  tenantLimits?: string;
  /** The model used if a request does not name one. @default the first by name */
  defaultModel?: string;
  /** Origins of other web pages that may use the API; `*` for all. @default none */
  corsOrigins?: string[];
  /** URLs from which images may be read: of every public host, or of these hosts. @default 'off' */
  imageUrls?: 'off' | 'https' | string[];
  /** GraphiQL at the endpoint, if the web page is built. @default false */
  graphiql?: boolean;
  /** Whether clients may ask for the schema. @default true */
  introspection?: boolean;
  /** A pino logger. @default silent */
  logger?: Logger;
}

export interface SubmitOptions {
  /** @default the default model */
  model?: string;
  /** Labels in the result, from 1 on. @default 5 */
  topK?: number;
  /** @default NORMAL */
  priority?: Priority;
  /** How long the work may take, in milliseconds. @default the model's setting */
  timeoutMs?: number;
  /** Your name for this request: sent again with the same image, it is the same prediction. */
  idempotencyKey?: string;
  /** Who it is for: the prediction belongs to its tenant, whose limits apply. @default the anonymous caller, without limits */
  caller?: CustomCaller;
  /** Cancels the prediction, and rejects with its reason. */
  signal?: AbortSignal;
}

/** A prediction at one moment, without GraphQL. */
export interface PredictionEvent {
  id: string;
  model: string;
  version: string;
  status: PredictionStatus;
  /** Position from 1 while it waits, if it is known. */
  queuePosition: number | undefined;
  result: { labels: { name: string; index: number; score: number }[] } | undefined;
  error: { code: ErrorCode; message: string } | undefined;
  attempts: number;
  cached: boolean;
}

export interface InferQL {
  /** Answers a request of the Fetch API: Next.js route handlers, Hono, Bun. */
  fetch(request: Request): Promise<Response>;
  /** Answers a request of node:http, Express or Fastify (`request.raw`, `reply.raw`). */
  node(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Executable schema, for another GraphQL server; its context comes from `createContext`. */
  schema: GraphQLSchema;
  /** The context of `schema` for one request of another GraphQL server. Rejects with UNAUTHENTICATED. */
  createContext(request: { headers: Headers; signal?: AbortSignal }): Promise<ServerContext>;
  /** Subscriptions, queries and mutations over WebSocket (graphql-transport-ws) at the endpoint; other paths are not touched. */
  attachWebSockets(server: Server): void;
  /**
   * Classifies an image without HTTP: yields the current state, then each change, ending with the terminal one. The host application
   * decides who may call it; with a `caller`, that tenant's limits apply and RATE_LIMITED is thrown.
   */
  submit(image: Uint8Array, options?: SubmitOptions): AsyncGenerator<PredictionEvent, void, undefined>;
  /** Connects to Redis, and starts what `runInline` runs. The first request does so, too. */
  start(): Promise<void>;
  /** Ends subscriptions so that clients resume elsewhere, lets waiting requests end, disconnects, and stops what `runInline` runs. */
  stop(): Promise<void>;
}
