/** Shared by the tests of engines: a model repository per test file, and engines on its models. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll } from 'vitest';
import { loadRepositoryModel } from '../../repository/load-model.ts';
import type { ServableModel } from '../../serving/servable-model.ts';
import type { EngineModel, EngineName, EngineOutput } from '../engine.ts';
import { buildEngines, engineModelOf, startCompiledEngine } from '../process/compiled-engine.fixture.ts';
import type { SupervisedEngine } from '../process/supervised-engine.ts';

export const ENGINES: EngineName[] = ['onnxruntime', 'tensorflow', 'wasm'];

const BUILD_TFJS_NODE = join(import.meta.dirname, '../../../scripts/build-tfjs-node.mjs');

export interface EngineFixture {
  /** Writes a model into the repository and prepares it as the worker does. */
  prepare(name: string, files: Record<string, string | Uint8Array>): Promise<ServableModel>;
  /** Starts an engine as the worker does, in a process for this model alone. */
  start(model: ServableModel, engine: EngineName, threads?: number): Promise<SupervisedEngine>;
  /**
   * Loads the model and runs it once, in a process that all models of an engine share: an engine takes a second to start.
   * @throws what the engine throws
   */
  runShared(model: ServableModel, engine: EngineName, images: Uint8Array, count: number): Promise<SharedRun>;
}

export type SharedRun = EngineOutput & { hasHeatmaps: boolean };

export function setUpEngines(): EngineFixture {
  let buildDir: string;
  let folder: string;
  const hosts = new Map<EngineName, EngineHost>();

  beforeAll(async () => {
    await tf.setBackend('cpu');
    await promisify(execFile)(process.execPath, [BUILD_TFJS_NODE]);
    buildDir = await buildEngines();
    folder = await mkdtemp(join(tmpdir(), 'inferql-engines-'));
  }, 600_000);
  afterAll(async () => {
    for (const host of hosts.values()) host.end();
    await removeFolder(folder);
  });

  return {
    async prepare(name, files) {
      const modelsDir = join(folder, 'models');
      await mkdir(join(modelsDir, name), { recursive: true });
      for (const [file, content] of Object.entries(files)) await writeFile(join(modelsDir, name, file), content);
      return loadRepositoryModel(name, { modelsDir, stateDir: join(folder, 'state') });
    },

    start: async (model, engine, threads) => startCompiledEngine(engineModelOf(model, engine, threads)),

    runShared(model, engine, images, count) {
      const host = hosts.get(engine) ?? new EngineHost(join(buildDir, 'worker/engines'), engine);
      hosts.set(engine, host);
      return host.run(engineModelOf(model, engine), images, count);
    },
  };
}

const LOADERS: Partial<Record<EngineName, [file: string, name: string]>> = {
  onnxruntime: ['onnx/onnxruntime.js', 'loadOnnxruntime'],
  tensorflow: ['tfjs/tensorflow.js', 'loadTensorflow'],
  wasm: ['tfjs/wasm.js', 'loadWasm'],
};

/** The program of the process: argv holds the loader's file and name. */
const HOST = `
import { pathToFileURL } from 'node:url';
const [file, name] = process.argv.slice(-2);
process.on('message', async ({ model, images, count }) => {
  try {
    const { [name]: load } = await import(pathToFileURL(file));
    const loaded = await load(model, 120_000);
    const output = await loaded.run({ images, count, wantHeatmaps: loaded.hasHeatmaps });
    process.send({ output: { ...output, hasHeatmaps: loaded.hasHeatmaps } });
  } catch (error) {
    process.send({ failure: String(error) });
  }
});
`;

/** Loads and runs one model after the other, compiled as it is shipped. */
class EngineHost {
  readonly #child: ChildProcess;

  constructor(enginesDir: string, engine: EngineName) {
    const [file, name] = LOADERS[engine]!;
    const args = ['--input-type=module', '--eval', HOST, join(enginesDir, file), name];
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
    this.#child = spawn(process.execPath, args, { serialization: 'advanced', stdio: [...stdio] });
  }

  run(model: EngineModel, images: Uint8Array, count: number): Promise<SharedRun> {
    return new Promise((resolve, reject) => {
      const end = (code: number | null) => reject(new Error(`the engine ended (${code})`));
      this.#child.once('exit', end);
      this.#child.once('message', ({ output, failure }: { output?: SharedRun; failure?: string }) => {
        this.#child.off('exit', end);
        if (output) resolve(output);
        else reject(new Error(failure));
      });
      this.#child.send({ model, images, count });
    });
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}
