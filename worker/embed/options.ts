import { availableParallelism } from 'node:os';
import { basename, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ModelName } from '@inferql/queue/contract';
import { isRedisUrl } from '@inferql/queue/redis/url';
import { COUNT, TIMER_MS } from '@inferql/settings/option-expectations';
import type { Logger } from 'pino';
import { pino } from 'pino';

/** The fields of a `model.json5` whose source is an npm package, with the model's name. */
export interface ModelDefinition {
  name: string;
  source: { type: 'npm'; package: string; version: string; integrity: string; model: string; labels?: string };
  /** Instead of the labels in the package. @default `source.labels` */
  labels?: readonly string[];
  [field: string]: unknown;
}

export interface WorkerOptions {
  /** Redis 7 or later. @default redis://127.0.0.1:6379 */
  redisUrl?: string | undefined;
  /** Prefix of every Redis key; must be the same for the servers. @default inferql */
  prefix?: string | undefined;
  /** A folder with a folder per model, which is watched; or a list of models: paths of their folders, or definitions. */
  models: string | URL | readonly (string | URL | ModelDefinition)[];
  /** Pulled and converted models. Processes may share it. @default .inferql in the current folder */
  stateDir?: string | undefined;
  /** Cores that one run of an engine may use. @default all */
  engineThreads?: number | undefined;
  /** An engine that takes longer for one batch is ended and started again, in milliseconds. @default 60000 */
  engineTimeLimitMs?: number | undefined;
  /** An engine that takes longer to load a model is ended, in milliseconds. @default 300000 */
  engineLoadLimitMs?: number | undefined;
  /** `stop` waits this long for running work, in milliseconds; other workers reclaim the rest. @default 25000 */
  drainLimitMs?: number | undefined;
  /** A pino logger. @default silent */
  logger?: Logger | undefined;
}

/** Options with their defaults. All paths are absolute. */
export interface ResolvedWorkerOptions {
  redisUrl: string;
  prefix: string;
  models: string | readonly (string | ModelDefinition)[];
  stateDir: string;
  engineThreads: number;
  engineTimeLimitMs: number;
  engineLoadLimitMs: number;
  drainLimitMs: number;
  log: Logger;
}

const TEXT = ['a string that is not empty', (value: unknown) => typeof value === 'string' && value !== ''] as const;

/** What is expected of each option, for messages and checks. */
const EXPECTED = {
  redisUrl: ['a URL such as redis://127.0.0.1:6379', isRedisUrl],
  prefix: TEXT,
  models: ["a folder of models, or a list of models' folders and definitions", isFilled],
  stateDir: TEXT,
  engineThreads: COUNT,
  engineTimeLimitMs: TIMER_MS,
  engineLoadLimitMs: TIMER_MS,
  drainLimitMs: TIMER_MS,
  logger: ['a pino logger', (value) => typeof (value as Logger | null)?.info === 'function'],
} as const satisfies Record<keyof WorkerOptions, readonly [string, (value: unknown) => boolean]>;

/**
 * Checks options and fills in defaults. Does not read the environment, since a host application decides.
 * @throws TypeError that names the option and what was expected
 */
export function resolveWorkerOptions(options: WorkerOptions): ResolvedWorkerOptions {
  if (typeof options !== 'object' || options === null)
    throw new TypeError('startWorker: expected an object of options.');
  for (const [name, value] of Object.entries(options)) checkOption(name, value);
  if (options.models === undefined) throw refuse('models', undefined, EXPECTED.models[0]);
  return {
    redisUrl: options.redisUrl ?? 'redis://127.0.0.1:6379',
    prefix: options.prefix ?? 'inferql',
    models: isFolder(options.models) ? toPath(options.models) : checkModels(options.models),
    stateDir: resolve(options.stateDir ?? '.inferql'),
    engineThreads: options.engineThreads ?? availableParallelism(),
    engineTimeLimitMs: options.engineTimeLimitMs ?? 60_000,
    engineLoadLimitMs: options.engineLoadLimitMs ?? 300_000,
    drainLimitMs: options.drainLimitMs ?? 25_000,
    // With pino's default destination, the process would get a listener of its exit.
    log: options.logger ?? pino({ level: 'silent' }, { write() {} }),
  };
}

function checkOption(name: string, value: unknown): void {
  if (!Object.hasOwn(EXPECTED, name)) {
    throw new TypeError(`startWorker: unknown option '${name}'. Known: ${Object.keys(EXPECTED).join(', ')}.`);
  }
  const [expected, isValid] = EXPECTED[name as keyof typeof EXPECTED];
  if (value !== undefined && !isValid(value)) throw refuse(name, value, expected);
}

function checkModels(models: readonly (string | URL | ModelDefinition)[]): (string | ModelDefinition)[] {
  const names = new Set<string>();
  return models.map((given, index) => {
    const option = `models[${index}]`;
    const model = isFolder(given) ? toPath(given) : given;
    if (typeof model !== 'string') checkDefinition(model, option);
    const name = typeof model === 'string' ? basename(model) : model.name;
    if (!ModelName.safeParse(name).success) {
      throw refuse(option, name, "a model's name, or a folder with such a name: lower-case letters, digits, _ and -");
    }
    if (names.has(name)) throw refuse(option, name, 'a name that no other model of the list has');
    names.add(name);
    return model;
  });
}

function checkDefinition(model: unknown, option: string): void {
  if (typeof model !== 'object' || model === null) throw refuse(option, model, 'the path of a folder, or a definition');
  // It could not be sent to the engine's process, which imports the module itself.
  if ('load' in model) {
    throw refuse(option, model, "the path of the model's folder, which has the code as engine.js");
  }
  const { source, labels } = model as Partial<ModelDefinition>;
  if (source?.type !== 'npm')
    throw refuse(`${option}.source`, source, "{ type: 'npm', … }, or a folder's path as the model");
  if (labels !== undefined && !isLabels(labels)) throw refuse(`${option}.labels`, labels, 'a list of names');
}

function refuse(name: string, value: unknown, expected: string): TypeError {
  return new TypeError(`startWorker: option '${name}' is ${describe(value)}. Expected ${expected}.`);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

function isFolder(value: unknown): value is string | URL {
  return typeof value === 'string' || value instanceof URL;
}

function toPath(folder: string | URL): string {
  return resolve(folder instanceof URL ? fileURLToPath(folder) : folder);
}

function isFilled(value: unknown): boolean {
  if (value instanceof URL) return value.protocol === 'file:';
  return (typeof value === 'string' || Array.isArray(value)) && value.length > 0;
}

function isLabels(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((label) => typeof label === 'string');
}
