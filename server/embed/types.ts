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
  redisUrl?: string | undefined;
  /**
   * Also runs a worker in this process and, unless `redisUrl` is set, a private Redis, for example on a laptop. Needs the packages
   * @inferql/worker and @inferql/launcher. @default false
   */
  runInline?: boolean | InlineOptions | undefined;
  /** Prefix of every Redis key and channel; must be the same for the workers. @default inferql */
  prefix?: string | undefined;
  /** Path of the GraphQL endpoint, for HTTP, SSE and WebSocket. @default /graphql */
  endpoint?: string | undefined;
  /** Identifies the caller of a request. Return null to refuse it as UNAUTHENTICATED. @default all callers are one anonymous caller */
  authenticate?: CustomAuthenticate | undefined;
  /** Yoga plugins, run after InferQL's. @default none */
  plugins?: Plugin[] | undefined;
  /** Extends the schema, for example with graphql's `extendSchema` or a tool that merges schemas. @default the schema unchanged */
  extendSchema?: ((schema: GraphQLSchema) => GraphQLSchema) | undefined;
  /** Makes the schema an Apollo Federation v2 subgraph, with `Prediction` as an entity. @default false */
  federation?: boolean | undefined;
  /** Functions that are called before a prediction is accepted and after it has ended. @default none */
  hooks?: Hooks | undefined;
  /** Limits of one request's size and cost. @default the server's settings */
  limits?: Limits | undefined;
  /** Limits of each tenant, such as `500ms/s:5000,100000images/month`: see docs/security.md. @default none */
  tenantLimits?: string | undefined;
  /** The model for requests that do not name one. @default the repository's default, else the first by name */
  defaultModel?: string | undefined;
  /** Origins of other web pages that may use the API; `*` for all. @default none */
  corsOrigins?: string[] | undefined;
  /** URLs from which images may be read: 'https' allows every public host, an array only these hosts. @default 'off' */
  imageUrls?: 'off' | 'https' | string[] | undefined;
  /** Serves GraphiQL at the endpoint. Needs the built web page. @default false */
  graphiql?: boolean | undefined;
  /** Whether clients may query the schema. @default true */
  introspection?: boolean | undefined;
  /** A pino logger. @default silent */
  logger?: Logger | undefined;
}

export interface SubmitOptions {
  /** @default the default model */
  model?: string | undefined;
  /** How many labels the result contains, at least 1. @default 5 */
  topK?: number | undefined;
  /** @default NORMAL */
  priority?: Priority | undefined;
  /** Time limit of the prediction, in milliseconds from its acceptance. @default the model's setting */
  timeoutMs?: number | undefined;
  /** Identifies this request: if it is repeated with the same image, it returns the same prediction. */
  idempotencyKey?: string | undefined;
  /** The caller on whose behalf it is sent. The prediction belongs to its tenant, whose limits apply. @default the anonymous caller, without limits */
  caller?: CustomCaller | undefined;
  /** Cancels the prediction, and rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** The state of a prediction at one point in time, without GraphQL. */
export interface PredictionEvent {
  id: string;
  model: string;
  version: string;
  status: PredictionStatus;
  /** Its position while it waits, if known; 1 is next. */
  queuePosition: number | undefined;
  result: { labels: { name: string; index: number; score: number }[] } | undefined;
  error: { code: ErrorCode; message: string } | undefined;
  attempts: number;
  cached: boolean;
}

export interface InferQL {
  /** Handles a Fetch API request: for Next.js route handlers, Hono, Bun. */
  fetch(request: Request): Promise<Response>;
  /** Handles a request of node:http, Express or Fastify (`request.raw`, `reply.raw`). */
  node(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** The executable schema, for another GraphQL server. Its context comes from `createContext`. */
  schema: GraphQLSchema;
  /** The context of `schema` for one request of another GraphQL server. Rejects with UNAUTHENTICATED. */
  createContext(request: { headers: Headers; signal?: AbortSignal }): Promise<ServerContext>;
  /** Subscriptions, queries and mutations over WebSocket (graphql-transport-ws) at the endpoint. Leaves other paths alone. */
  attachWebSockets(server: Server): void;
  /**
   * Classifies an image without HTTP: yields the current state, then each change, ending with the terminal one. The host application
   * decides who may call it; with a `caller`, that tenant's limits apply and RATE_LIMITED is thrown.
   */
  submit(image: Uint8Array, options?: SubmitOptions): AsyncGenerator<PredictionEvent, void, undefined>;
  /** Connects to Redis, and starts what `runInline` runs. Otherwise the first request does so. If it fails, the next call tries again. */
  start(): Promise<void>;
  /** Ends subscriptions so that clients resume elsewhere, lets waiting requests end within some 10 seconds, disconnects, and stops what `runInline` runs. */
  stop(): Promise<void>;
}
