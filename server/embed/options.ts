/** Checks the options of `createInferQL` and fills in their defaults. */
import { LIMITS_EXPECTED, parseLimits } from '@inferql/queue/limit-rules';
import { hosts } from '@inferql/settings/network-types';
import type { Logger } from 'pino';
import { pino } from 'pino';
import type { Config } from '../config.ts';
import { readConfig } from '../config.ts';
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

export type Limits = { [Name in (typeof LIMITS)[number]]?: number };

const INLINE = ['models', 'stateDir', 'redisServer', 'engineThreads'];

/** What is expected of each option, for messages and checks. */
const EXPECTED = {
  redisUrl: ['a URL such as redis://127.0.0.1:6379', isFilledString],
  runInline: ['true, false or an object with models, stateDir, redisServer, engineThreads', isInline],
  prefix: ['a string, the first part of every Redis key', isFilledString],
  endpoint: ['a path such as /api/graphql', (value) => typeof value === 'string' && /^\/[\w./-]*$/.test(value)],
  authenticate: ['a function that returns a caller, or null', isFunction],
  plugins: ['an array of Yoga plugins', Array.isArray],
  extendSchema: ['a function from a GraphQLSchema to another', isFunction],
  federation: ['true or false', isBoolean],
  hooks: ['an object with beforeAdmit, onSettled or both', isObject],
  imageUrls: [
    "'off', 'https' or an array of hosts such as images.example.org or 10.0.0.5:9000",
    (value) =>
      value === 'off' || value === 'https' || (isStringArray(value) && parseHosts(value as string[]) !== undefined),
  ],
  limits: [`an object with ${LIMITS.join(', ')}`, isObject],
  tenantLimits: [LIMITS_EXPECTED, (value) => typeof value === 'string' && parseLimits(value, 'tenant') !== undefined],
  defaultModel: ['the name of a model', isFilledString],
  corsOrigins: ['an array of origins such as https://example.org', isStringArray],
  graphiql: ['true or false', isBoolean],
  introspection: ['true or false', isBoolean],
  logger: ['a pino logger', (value) => isObject(value) && isFunction(value.info)],
} as const satisfies Record<keyof InferQLOptions, readonly [string, (value: unknown) => boolean]>;

export interface ResolvedOptions {
  config: Config;
  endpoint: string;
  log: Logger;
}

/**
 * Checks options and fills in defaults. The environment is not read: a host application decides.
 * @throws TypeError that names the option and what was expected
 */
export function resolveOptions(options: InferQLOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null)
    throw new TypeError('createInferQL: expected an object of options.');
  for (const [name, value] of Object.entries(options)) checkOption(name, value);
  const { redisUrl, prefix, tenantLimits, defaultModel, corsOrigins, graphiql, introspection } = options;
  const given = {
    redisUrl,
    prefix,
    tenantLimits,
    defaultModel,
    corsOrigins,
    introspection,
    ...describeImageUrls(options.imageUrls),
    ...checkLimits(options.limits ?? {}),
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

/** With pino's default destination, the process would get a listener of its exit. */
function createSilentLog(): Logger {
  return pino({ level: 'silent' }, { write() {} });
}

function checkOption(name: string, value: unknown): void {
  if (!(name in EXPECTED)) {
    throw new TypeError(`createInferQL: unknown option '${name}'. Known: ${Object.keys(EXPECTED).join(', ')}.`);
  }
  const [expected, isValid] = EXPECTED[name as keyof typeof EXPECTED];
  if (value !== undefined && !isValid(value)) {
    throw new TypeError(`createInferQL: option '${name}' is ${describe(value)}. Expected ${expected}.`);
  }
}

function checkLimits(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits)) {
    if (!LIMITS.includes(name as keyof Limits)) {
      throw new TypeError(`createInferQL: unknown option 'limits.${name}'. Known: ${LIMITS.join(', ')}.`);
    }
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new TypeError(
        `createInferQL: option 'limits.${name}' is ${describe(value)}. Expected a whole number over 0.`,
      );
    }
  }
  return limits;
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  return typeof value === 'object' ? (value === null ? 'null' : 'an object') : String(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isInline(value: unknown): boolean {
  return isBoolean(value) || (isObject(value) && Object.keys(value).every((name) => INLINE.includes(name)));
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

function isFilledString(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isStringArray(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
