import { defineSettings } from '../define-settings.ts';
import { list, text, timerMs } from '../value-types.ts';

/** The workers and their engines. */
export const worker = defineSettings({
  models: {
    name: 'INFERQL_MODELS',
    formerNames: ['MODELS'],
    type: list('names of models'),
    default: [] as string[],
    defaultText: 'all',
    description: 'Names of the models that the worker serves, separated by commas.',
    readBy: ['worker'],
  },
  engineTimeLimitMs: {
    name: 'INFERQL_ENGINE_TIME_LIMIT_MS',
    formerNames: ['ENGINE_TIME_LIMIT_MS'],
    type: timerMs(),
    default: 60_000,
    unit: 'ms',
    description: 'Time limit for one batch. An engine that takes longer is killed and restarted.',
    readBy: ['worker'],
  },
  engineLoadLimitMs: {
    name: 'INFERQL_ENGINE_LOAD_LIMIT_MS',
    type: timerMs(),
    default: 300_000,
    unit: 'ms',
    description: 'Time limit for loading a model. Raise it for very large models on a slow disk.',
    readBy: ['worker'],
  },
  drainLimitMs: {
    name: 'INFERQL_DRAIN_LIMIT_MS',
    formerNames: ['DRAIN_LIMIT_MS'],
    type: timerMs(),
    default: 25_000,
    unit: 'ms',
    description:
      'Time limit for a worker to finish its running work after SIGTERM. A worker that takes longer is killed, and other workers reclaim its jobs.',
    readBy: ['worker'],
  },
  scriptedModels: {
    name: 'INFERQL_SCRIPTED_MODELS',
    type: text(),
    description:
      'Served instead of the repository, by the engine of scripted answers: a JSON list. For tests and measurements.',
    readBy: ['worker'],
    internal: true,
  },
});
