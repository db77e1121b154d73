/** Shared by the tests of models with user code: one model in a repository per test, and its engine process. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { listModelNames, loadRepositoryModel } from '../../repository/load-model.ts';
import type { ServableModel } from '../../serving/servable-model.ts';
import { buildEngines, engineModelOf, startCompiledEngine } from '../process/compiled-engine.fixture.ts';
import type { SupervisedEngine } from '../process/supervised-engine.ts';

/** The folder of the model, and so its name. */
export const MODEL = 'light';

export interface CustomModelFixture {
  /** Writes files, by their paths in the model's folder, and prepares the model as the worker does. */
  load(files: Record<string, string>): Promise<ServableModel>;
  /** The names of the models in the repository. */
  list(): Promise<string[]>;
  /** Like `load`, and starts the engine, which ends with the test. */
  start(
    files: Record<string, string>,
    timeLimitMs?: number,
  ): Promise<{ model: ServableModel; engine: SupervisedEngine }>;
}

export function setUpCustomModel(): CustomModelFixture {
  let folder: string;
  let engine: SupervisedEngine | undefined;
  const modelsDir = () => join(folder, 'models');

  beforeAll(buildEngines);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'inferql-custom-'));
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  });
  afterEach(async () => {
    await engine?.close();
    engine = undefined;
    await removeFolder(folder);
  });

  async function load(files: Record<string, string>): Promise<ServableModel> {
    for (const [name, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
      const file = join(modelsDir(), MODEL, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
    return loadRepositoryModel(MODEL, { modelsDir: modelsDir(), stateDir: join(folder, 'state') });
  }

  return {
    load,
    list: () => listModelNames(modelsDir()),
    async start(files, timeLimitMs = 30_000) {
      const model = await load(files);
      engine = await startCompiledEngine(engineModelOf(model, model.candidates[0]!.engine), timeLimitMs);
      return { model, engine };
    },
  };
}

/** A gray image of 2 x 2 pixels whose first byte says what the engine of a test does. */
export const imageOf = (first: number) => new Uint8Array([first, 0, 0, 0]);
