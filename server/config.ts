import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { ModelName } from '../queue/contract.ts';

const Flag = z
  .enum(['1', '0', 'true', 'false', 'on', 'off', 'yes', 'no'])
  .transform((text) => ['1', 'true', 'on', 'yes'].includes(text));

const List = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
);

const Count = z.coerce.number().int().positive();
const Milliseconds = z.coerce.number().int().min(0);

/** Every setting of the server. Each is an environment variable of the same name. */
const Settings = z.object({
  /** Port to listen on; 0 takes a free one. @default 4000 */
  PORT: z.coerce.number().int().min(0).max(65_535).default(4000),
  /** Address to listen on. `0.0.0.0` takes requests from other machines. @default 127.0.0.1 */
  HOST: z.string().min(1).default('127.0.0.1'),
  /** redis://, rediss://, redis+sentinel:// or redis+cluster://. @default redis://127.0.0.1:6379 */
  REDIS_URL: z.string().min(1).default('redis://127.0.0.1:6379'),
  /** First part of every Redis key and channel. @default inferql */
  INFERQL_PREFIX: z.string().min(1).default('inferql'),
  /** Folder for what this machine keeps. @default .inferql */
  INFERQL_STATE_DIR: z.string().min(1).default('.inferql'),
  /** The model that is meant where a request names none. @default the first by name */
  DEFAULT_MODEL: ModelName.optional(),
  /** Built web page, served at `/` where it exists. @default dist/web */
  WEB_DIR: z.string().min(1).default('dist/web'),
  /** Origins of other web pages that may use the API, separated by commas; `*` for all. @default none */
  CORS_ORIGINS: List.default([]),
  /** GraphiQL at /graphql. @default on */
  GRAPHIQL: Flag.default(true),
  /** Whether clients may ask for the schema. GraphiQL needs it. @default on */
  INTROSPECTION: Flag.default(true),
  /** Largest file, in bytes. @default 10485760 */
  MAX_UPLOAD_BYTES: Count.default(10 * 1024 * 1024),
  /** Largest image, in pixels. @default 64000000 */
  MAX_PIXELS: Count.default(64_000_000),
  /** Most files in one request. @default 32 */
  MAX_IMAGES: Count.default(32),
  /** Largest body of an upload, in bytes. @default 134217728 */
  MAX_BODY_BYTES: Count.default(128 * 1024 * 1024),
  /** Largest body without files, and largest WebSocket message, in bytes. @default 262144 */
  MAX_QUERY_BYTES: Count.default(256 * 1024),
  /** A mutation that waits for the end of its prediction waits this long at most. @default 60000 */
  MAX_WAIT_MS: Count.default(60_000),
  /** Whether equal work in flight is computed once. @default on */
  SHARE: Flag.default(true),
  /**
   * Whether equal work is shared, and answered from the cache, across tenants. One can then see by the time that another sent the same
   * image. @default off
   */
  SHARE_ACROSS_TENANTS: Flag.default(false),
  /** How long a finished result answers equal work; 0 switches it off. @default 60000 */
  CACHE_TTL_MS: Milliseconds.default(60_000),
  /** Whether a waiting prediction is cancelled when its caller leaves before its id was delivered. @default on */
  CANCEL_ABANDONED: Flag.default(true),
  /**
   * Images that are handed to the decoding threads at once (UV_THREADPOOL_SIZE of them): enough that no thread waits for the main one, which
   * may be busy with an upload. Each is held in memory. @default twice the cores and four
   */
  DECODE_CONCURRENCY: Count.default(2 * availableParallelism() + 4),
  /** Live queue positions of a subscription are sent at most this often. @default 500 */
  POSITION_INTERVAL_MS: Count.default(500),
  /** States of open predictions are compared with Redis this often, in case a message was lost. @default 2000 */
  AUDIT_INTERVAL_MS: Count.default(2_000),
  /** At SIGTERM, waiting mutations are given this long to end. @default 8000 */
  DRAIN_MS: Milliseconds.default(8_000),
  /** Deepest nesting of a query. @default 12 */
  MAX_DEPTH: Count.default(12),
  /** Most aliases in a query. @default 30 */
  MAX_ALIASES: Count.default(30),
  /** Most tokens in a query. @default 2000 */
  MAX_TOKENS: Count.default(2_000),
  /** Highest cost of a query. @default 20000 */
  MAX_COST: Count.default(20_000),
  /** fatal, error, warn, info, debug, trace or silent. @default info */
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

export type Config = ReturnType<typeof readConfig>;

/**
 * Reads the settings from environment variables. An empty variable counts as not set.
 * @throws Error naming each variable that is wrong, and what was expected
 */
export function readConfig(env: Record<string, string | undefined>) {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = Settings.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Error(`The settings are wrong.\n${lines.join('\n')}`);
  }
  const settings = parsed.data;
  return {
    port: settings.PORT,
    host: settings.HOST,
    redisUrl: settings.REDIS_URL,
    prefix: settings.INFERQL_PREFIX,
    stateDir: resolve(settings.INFERQL_STATE_DIR),
    defaultModel: settings.DEFAULT_MODEL,
    webDir: resolve(settings.WEB_DIR),
    corsOrigins: settings.CORS_ORIGINS,
    graphiql: settings.GRAPHIQL,
    introspection: settings.INTROSPECTION,
    maxUploadBytes: settings.MAX_UPLOAD_BYTES,
    maxPixels: settings.MAX_PIXELS,
    maxImages: settings.MAX_IMAGES,
    maxBodyBytes: settings.MAX_BODY_BYTES,
    maxQueryBytes: settings.MAX_QUERY_BYTES,
    maxWaitMs: settings.MAX_WAIT_MS,
    share: settings.SHARE,
    shareAcrossTenants: settings.SHARE_ACROSS_TENANTS,
    cacheTtlMs: settings.CACHE_TTL_MS,
    cancelAbandoned: settings.CANCEL_ABANDONED,
    decodeConcurrency: settings.DECODE_CONCURRENCY,
    positionIntervalMs: settings.POSITION_INTERVAL_MS,
    auditIntervalMs: settings.AUDIT_INTERVAL_MS,
    drainMs: settings.DRAIN_MS,
    maxDepth: settings.MAX_DEPTH,
    maxAliases: settings.MAX_ALIASES,
    maxTokens: settings.MAX_TOKENS,
    maxCost: settings.MAX_COST,
    logLevel: settings.LOG_LEVEL,
  };
}
