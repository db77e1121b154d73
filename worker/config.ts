/** The worker's settings. Each is defined in settings/. */
import type { Environment } from '@inferql/settings/define-settings';
import { readSettings } from '@inferql/settings/settings';
import { ScriptedModels } from './engines/scripted/scripted-models.ts';

const MEBIBYTE = 1024 * 1024;

export type WorkerConfig = ReturnType<typeof readConfig>;

/**
 * Reads the worker's settings from environment variables.
 * @throws InvalidConfigurationError that names each wrong variable, its value and what was expected
 */
export function readConfig(env: Environment) {
  const { models, problems } = parseScriptedModels(env);
  const { maxRssMb, ...settings } = readSettings('worker', env, problems);
  return { ...settings, maxRssBytes: maxRssMb * MEBIBYTE, scriptedModels: models };
}

function parseScriptedModels({ INFERQL_SCRIPTED_MODELS: text }: Environment) {
  if (!text) return { models: undefined, problems: [] };
  const { data: models, error } = ScriptedModels.safeParse(text);
  return { models, problems: error ? [`INFERQL_SCRIPTED_MODELS: ${error.issues[0]?.message}`] : [] };
}
