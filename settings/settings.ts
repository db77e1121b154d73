/** Every setting of every part. To add one, add it to a section: docs/configuration.md is printed from here. */
import {
  type Environment,
  type Reader,
  readTable,
  renameFormerSettings,
  type SettingTable,
} from './define-settings.ts';
import { findMistakes } from './find-mistakes.ts';
import { access } from './sections/access.ts';
import { connections } from './sections/connections.ts';
import { http } from './sections/http.ts';
import { launcher } from './sections/launcher.ts';
import { metrics } from './sections/metrics.ts';
import { predictions } from './sections/predictions.ts';
import { threadsAndMemory } from './sections/threads-and-memory.ts';
import { uploads } from './sections/uploads.ts';
import { worker } from './sections/worker.ts';

/** In the order of the documentation. */
export const sections: { title: string; settings: SettingTable }[] = [
  { title: 'Addresses and folders', settings: connections },
  { title: 'Access', settings: access },
  { title: 'HTTP and GraphQL', settings: http },
  { title: 'Uploads and image URLs', settings: uploads },
  { title: 'Predictions', settings: predictions },
  { title: 'Workers', settings: worker },
  { title: 'Processes, threads and memory', settings: threadsAndMemory },
  { title: 'Metrics', settings: metrics },
  { title: 'Launcher and commands', settings: launcher },
];

export const settings = {
  ...connections,
  ...access,
  ...http,
  ...uploads,
  ...predictions,
  ...worker,
  ...threadsAndMemory,
  ...metrics,
  ...launcher,
};

/**
 * Reads the settings of one part from environment variables.
 * @param otherProblems problems that the caller found, to be reported together
 * @throws InvalidConfigurationError that names each wrong variable, its value and what was expected
 * @example
 * const { port, redisUrl } = readSettings('server', process.env);
 */
export function readSettings<Part extends Reader>(part: Part, env: Environment, otherProblems?: readonly string[]) {
  return readTable(settings, part, env, otherProblems);
}

/** A warning for each environment variable that has a former name of a setting, or a name similar to one. */
export function findSettingMistakes(env: Environment): string[] {
  return findMistakes(settings, env);
}

/** The environment for child processes: former names replaced by current ones. */
export function renameFormerNames(env: Environment): Record<string, string | undefined> {
  return renameFormerSettings(settings, env);
}
