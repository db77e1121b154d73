/** The worker's settings, all from the environment. */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { DEFAULT_PREFIX } from '../queue/keys.ts';
import { ScriptedModels } from './engines/scripted/scripted-models.ts';

const whole = z.string().regex(/^\d+$/, 'a whole number').transform(Number);
const positive = whole.refine((value) => value > 0, 'more than 0');

const Environment = z.object({
  REDIS_URL: z.string().default('redis://127.0.0.1:6379'),
  INFERQL_PREFIX: z.string().default(DEFAULT_PREFIX),
  INFERQL_MODELS_DIR: z.string().default('models'),
  INFERQL_STATE_DIR: z.string().default('.inferql'),
  MODELS: z
    .string()
    .default('')
    .transform((list) => list.split(',').flatMap((name) => name.trim() || [])),
  ENGINE_THREADS: positive.default(availableParallelism()),
  ENGINE_TIME_LIMIT_MS: positive.default(60_000),
  MAX_RSS_MB: whole.default(0),
  DRAIN_LIMIT_MS: positive.default(25_000),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  INFERQL_SCRIPTED_MODELS: ScriptedModels.optional(),
});

export interface WorkerConfig {
  /** REDIS_URL. @default redis://127.0.0.1:6379 */
  redisUrl: string;
  /** INFERQL_PREFIX: what every Redis key begins with. @default inferql */
  prefix: string;
  /** INFERQL_MODELS_DIR: the model repository. @default models */
  modelsDir: string;
  /** INFERQL_STATE_DIR: where prepared models are kept. @default .inferql */
  stateDir: string;
  /** MODELS: names of the models to serve, separated by commas; none: all. */
  models: string[];
  /** ENGINE_THREADS: cores that a run may use. @default all */
  engineThreads: number;
  /** ENGINE_TIME_LIMIT_MS: an engine that takes longer for one batch is killed and started again. @default 60000 */
  engineTimeLimitMs: number;
  /** MAX_RSS_MB: a worker whose memory, its engines' included, passes it drains and ends; 0: no limit. @default 0 */
  maxRssBytes: number;
  /** DRAIN_LIMIT_MS: a drain that takes longer is cut short; others take over what is left. @default 25000 */
  drainLimitMs: number;
  /** LOG_LEVEL. @default info */
  logLevel: string;
  /** INFERQL_SCRIPTED_MODELS: served instead of the repository, by the engine of scripted answers. For tests and measurements. */
  scriptedModels: ScriptedModels | undefined;
}

/** @throws Error that names each variable and what was expected of it. */
export function readConfig(env: NodeJS.ProcessEnv): WorkerConfig {
  // An empty variable is how a compose file says that it is not set.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = Environment.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
    throw new Error(`The worker's settings are wrong:\n${lines.join('\n')}`);
  }
  const values = parsed.data;
  return {
    redisUrl: values.REDIS_URL,
    prefix: values.INFERQL_PREFIX,
    modelsDir: values.INFERQL_MODELS_DIR,
    stateDir: values.INFERQL_STATE_DIR,
    models: values.MODELS,
    engineThreads: values.ENGINE_THREADS,
    engineTimeLimitMs: values.ENGINE_TIME_LIMIT_MS,
    maxRssBytes: values.MAX_RSS_MB * 1024 * 1024,
    drainLimitMs: values.DRAIN_LIMIT_MS,
    logLevel: values.LOG_LEVEL,
    scriptedModels: values.INFERQL_SCRIPTED_MODELS,
  };
}
