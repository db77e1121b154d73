/** Where a worker's models come from. */

import { basename, dirname, join } from 'node:path';
import type { Convert } from '@inferql/converter/conversion-process/conversion';
import { readDefaultModel } from '@inferql/converter/repository/default-model';
import { describeOddFolders } from '@inferql/converter/repository/unserved-folders';
import { Registry } from '@inferql/queue/models/registry';
import type { RedisConnection } from '@inferql/queue/redis/connection';
import type { Logger } from 'pino';
import { makeScriptedModel, type ScriptedModels } from '../engines/scripted/scripted-models.ts';
import type { ServableModel } from '../serving/servable-model.ts';
import { signFolder } from './folder-signature.ts';
import { listModelNames, loadRepositoryModel } from './load-model.ts';
import { watchFolder } from './watch-folder.ts';

export interface ModelSource {
  /** Names of the models to serve. */
  list(): Promise<string[]>;
  /** Reads one; fast if it did not change. @throws if it cannot be read, or `signal` was aborted */
  load(name: string, signal: AbortSignal): Promise<ServableModel>;
  /** Another text if files of the model have changed. */
  sign(name: string): Promise<string>;
  /** Calls back when a model may have changed. Returns a function that ends it. */
  watch(onChange: () => void): () => void;
}

interface LoadOptions {
  stateDir: string;
  /** `createProcessConverter`: a worker serves other models meanwhile. */
  convert: Convert;
  log: Logger;
}

export interface FolderOptions extends LoadOptions {
  modelsDir: string;
  /** Names of the models to serve; empty: all. */
  models: readonly string[];
  redis: RedisConnection;
  prefix: string;
}

/** A folder with a folder per model. Its default model is published whenever it changes; folders that are not models are logged. */
export function createFolderSource(options: FolderOptions): ModelSource {
  const { modelsDir, models, redis, prefix, log } = options;
  const registry = new Registry(redis, { prefix });
  let registeredDefault: string | undefined;
  /** Sentences about folders that are not models, and whether they have been logged. */
  const odd = new Map<string, boolean>();

  /** At the second look: a folder may be in the middle of being copied. */
  async function reportOddFolders(): Promise<void> {
    const lines = await describeOddFolders(modelsDir);
    for (const line of odd.keys()) if (!lines.includes(line)) odd.delete(line);
    for (const line of lines) {
      if (odd.get(line) === false) log.warn(line);
      odd.set(line, odd.has(line));
    }
  }

  async function registerDefault(names: string[]): Promise<void> {
    try {
      const name = await readDefaultModel(modelsDir);
      if (name === undefined || !names.includes(name)) return;
      // Another worker's repository may name another model since. If there is none, Redis has lost it.
      if (name === registeredDefault && (await registry.defaultModel()) !== null) return;
      await registry.setDefaultModel(name);
      registeredDefault = name;
    } catch (error) {
      log.warn({ err: error }, 'could not register the default model; retrying');
    }
  }

  return {
    async list() {
      const names = await listModelNames(modelsDir);
      void registerDefault(names);
      await reportOddFolders();
      return names.filter((name) => models.length === 0 || models.includes(name));
    },
    load: (name, signal) => loadFrom(modelsDir, name, options, signal),
    sign: (name) => signFolder(join(modelsDir, name)),
    watch: (onChange) => watchFolder(modelsDir, onChange),
  };
}

/** Folders of single models, anywhere. @param folders absolute paths; the last part of each is the model's name */
export function createListSource(folders: readonly string[], options: LoadOptions): ModelSource {
  const parents = new Map(folders.map((folder) => [basename(folder), dirname(folder)]));
  return {
    list: async () => [...parents.keys()],
    load: (name, signal) => loadFrom(parents.get(name)!, name, options, signal),
    sign: (name) => signFolder(join(parents.get(name)!, name)),
    watch(onChange) {
      const ends = folders.map((folder) => watchFolder(folder, onChange));
      return () => {
        for (const end of ends) end();
      };
    },
  };
}

function loadFrom(
  modelsDir: string,
  name: string,
  { stateDir, convert, log }: LoadOptions,
  signal: AbortSignal,
): Promise<ServableModel> {
  const reported: Convert = (conversion, stop) => {
    log.info({ model: name }, 'converting the model');
    return convert(conversion, stop);
  };
  return loadRepositoryModel(name, { modelsDir, stateDir, convert: reported }, signal);
}

/** Models without files, which never change. */
export function createScriptedSource(models: ScriptedModels): ModelSource {
  const scripted = new Map(models.map((model) => [model.name, makeScriptedModel(model)]));
  return {
    list: async () => [...scripted.keys()],
    load: async (name) => scripted.get(name)!,
    sign: async () => '',
    watch: () => () => {},
  };
}
