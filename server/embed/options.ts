/** Checks the options of `createInferQL` and fills in their defaults. */
import { isRedisUrl } from '@inferql/queue/redis/url';
import { LIMITS_EXPECTED, readLimitList } from '@inferql/settings/limit-list';
import { COUNT, TIMER_MS } from '@inferql/settings/option-expectations';
import { hosts, origins } from '@inferql/settings/origins-and-proxies';
import { type GraphQLSchema, isSchema } from 'graphql';
import type { Logger } from 'pino';
import { pino } from 'pino';
import type { Config } from '../config.ts';
import { readConfig } from '../config.ts';
import type { Hooks } from '../predictions/host-hooks.ts';
import type { InlineOptions } from './inline.ts';
import {
  BOOLEAN,
  checkFields,
  describe,
  type Expectations,
  FUNCTION,
  isBoolean,
  isFilledString,
  isFunction,
  isObject,
} from './option-checks.ts';
import type { InferQLOptions } from './types.ts';

/** Limits that a host application can set, with the settings that they correspond to. */
const LIMITS = [
  'maxUploadBytes',
  'maxPixels',
  'maxImages',
  'maxBodyBytes',
  'maxQueryBytes',
  'maxWaitMs',
  'maxDepth',
  'maxAliases',
  'maxTokens',
  'maxCost',
  'decodeConcurrency',
] as const satisfies readonly (keyof Config)[];

export type Limits = { [Name in (typeof LIMITS)[number]]?: number | undefined };

/** What is expected of each option, for messages and checks. */
const EXPECTED = {
  redisUrl: ['a URL such as redis://127.0.0.1:6379', isRedisUrl],
  runInline: [
    'true, false or an object with models, stateDir, redisServer, engineThreads',
    (value) => isBoolean(value) || isObject(value),
  ],
  prefix: ['a string, the first part of every Redis key', isFilledString],
  endpoint: ['a path such as /api/graphql', (value) => typeof value === 'string' && /^\/[\w./-]*$/.test(value)],
  authenticate: ['a function that returns a caller, or null', isFunction],
  plugins: ['an array of Yoga plugins', (value) => Array.isArray(value) && value.every(isObject)],
  extendSchema: ['a function from a GraphQLSchema to another', isFunction],
  federation: BOOLEAN,
  hooks: ['an object with beforeAdmit, onSettled or both', isObject],
  imageUrls: ["'off', 'https' or an array of hosts such as images.example.org or 10.0.0.5:9000", isImageUrls],
  limits: [`an object with ${LIMITS.join(', ')}`, isObject],
  tenantLimits: [LIMITS_EXPECTED, (value) => typeof value === 'string' && readLimitList(value) !== undefined],
  defaultModel: ['the name of a model', isFilledString],
  corsOrigins: ['an array of origins such as https://example.org, or *', isOrigins],
  graphiql: BOOLEAN,
  introspection: BOOLEAN,
  logger: ['a pino logger', isLogger],
} as const satisfies Expectations<InferQLOptions>;

/** What is expected of the fields of an option that is an object. */
const EXPECTED_FIELDS = {
  runInline: {
    // `startWorker` checks it.
    models: ["a folder of models, or a list of models' folders and definitions", (value) => value !== null],
    stateDir: ['a path', isFilledString],
    redisServer: ['the path of a program', isFilledString],
    engineThreads: COUNT,
  } satisfies Expectations<InlineOptions>,
  hooks: { beforeAdmit: FUNCTION, onSettled: FUNCTION } satisfies Expectations<Hooks>,
  limits: Object.fromEntries(LIMITS.map((name) => [name, name === 'maxWaitMs' ? TIMER_MS : COUNT])),
} as const;

export interface ResolvedOptions {
  config: Config;
  endpoint: string;
  log: Logger;
}

/**
 * Checks options and fills in defaults. Does not read the environment, since a host application decides.
 * @throws TypeError that names the option and what was expected
 */
export function resolveOptions(options: InferQLOptions): ResolvedOptions {
  if (!isObject(options as unknown)) {
    throw new TypeError(`createInferQL: expected an object of options, found ${describe(options)}.`);
  }
  checkFields('createInferQL', '', options, EXPECTED);
  for (const [name, expected] of Object.entries(EXPECTED_FIELDS)) {
    const value = options[name as keyof typeof EXPECTED_FIELDS];
    if (isObject(value)) checkFields('createInferQL', `${name}.`, value, expected);
  }
  const { redisUrl, prefix, tenantLimits, defaultModel, corsOrigins, graphiql, introspection } = options;
  const given = {
    redisUrl,
    prefix,
    tenantLimits,
    defaultModel,
    corsOrigins: corsOrigins && origins.parse(corsOrigins.join(',')),
    introspection,
    ...describeImageUrls(options.imageUrls),
    ...options.limits,
  };
  const config: Config = {
    ...readConfig({}),
    // A host application checks host names itself.
    allowedHosts: ['*'],
    graphiql: graphiql ?? false,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  return { config, endpoint: options.endpoint ?? '/graphql', log: options.logger ?? createSilentLog() };
}

function describeImageUrls(imageUrls: InferQLOptions['imageUrls']): Partial<Config> {
  if (typeof imageUrls !== 'object') return imageUrls === undefined ? {} : { imageUrls };
  return { imageUrls: 'allowlist', imageUrlHosts: parseHosts(imageUrls) ?? [] };
}

const parseHosts = (items: readonly string[]) => (items.length > 0 ? hosts.parse(items.join(',')) : undefined);

/** @throws TypeError if the option `extendSchema` returned something else */
export function checkExtended(schema: unknown): GraphQLSchema {
  if (isSchema(schema)) return schema;
  throw new TypeError(
    `createInferQL: option 'extendSchema' returned ${describe(schema)}. Expected a GraphQLSchema, not a promise.`,
  );
}

/** With pino's default destination, the process would get a listener of its exit. */
function createSilentLog(): Logger {
  return pino({ level: 'silent' }, { write() {} });
}

function isOrigins(value: unknown): boolean {
  const isOrigin = (item: unknown) => typeof item === 'string' && origins.parse(item)?.length === 1;
  return Array.isArray(value) && value.every(isOrigin);
}

function isImageUrls(value: unknown): boolean {
  if (value === 'off' || value === 'https') return true;
  return Array.isArray(value) && value.every((item) => typeof item === 'string') && parseHosts(value) !== undefined;
}

function isLogger(value: unknown): boolean {
  return isObject(value) && ['debug', 'info', 'warn', 'error'].every((level) => isFunction(value[level]));
}
