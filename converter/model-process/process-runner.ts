import { readdirSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ModelError } from '../errors.ts';
import { elementCount } from '../onnx-writer/graph/graph.ts';
import { ModelProcess, type Task } from './model-process.ts';
import type { EngineSession, ModelRunner, OnnxSession, RunnableEngineModel } from './model-runner.ts';
import { timeLimitMs, type Workload } from './time-limits.ts';

export interface RunnerOptions {
  /** Ends models that are running. */
  signal: AbortSignal;
  /** Instead of the limits of `time-limits.ts`, for the loading and for each image. */
  runLimitMs?: number | undefined;
  /** @default most of the machine's memory */
  memoryLimitBytes?: number;
  /** The main file of the process. @default model-process-main.js next to this module */
  programPath?: string;
  /** Receives what users' code prints. */
  print?: (line: string) => void;
}

/** The share of the memory that a model may take before it is stopped. */
const MEMORY_SHARE = 0.8;

/** What tfjs has loaded is freed by the end of its process alone. */
const KEPT_TFJS_BYTES = 256e6;

/** The process that all models but users' code share. */
interface SharedProcess {
  process: ModelProcess;
  /** How many models are loaded. */
  open: number;
  /** Of the models that tfjs has loaded. */
  tfjsBytes: number;
}

/**
 * Runs models in a process, which can be ended: a file may have a loop without an end, take all memory or crash its engine. The process starts with
 * the first model, and again after it was ended. A user's code gets a separate one.
 */
export function createProcessRunner(options: RunnerOptions): ModelRunner {
  const { signal, runLimitMs, print } = options;
  const programPath = options.programPath ?? fileURLToPath(new URL('./model-process-main.js', import.meta.url));
  const memoryLimitBytes = options.memoryLimitBytes ?? Math.floor(memoryBytes() * MEMORY_SHARE);
  const processes = new Set<ModelProcess>();
  let shared: SharedProcess | undefined;

  const cancel = () => {
    for (const one of processes) one.stop(canceled());
  };
  signal.addEventListener('abort', cancel, { once: true });

  function start(): ModelProcess {
    if (signal.aborted) throw canceled();
    const started = new ModelProcess({ programPath, memoryLimitBytes });
    processes.add(started);
    void started.ended.then(() => processes.delete(started));
    return started;
  }

  function share(): SharedProcess {
    if (!shared?.process.isAlive) shared = { process: start(), open: 0, tfjsBytes: 0 };
    return shared;
  }

  const taskFor = (workload: Workload) => {
    const limitMs = runLimitMs ?? timeLimitMs(workload);
    return (what: string, times = 1): Task => ({ what, limitMs: limitMs * times });
  };

  async function openTfjs(model: RunnableEngineModel, folder: string): Promise<EngineSession> {
    const host = share();
    const bytes = folderBytes(folder);
    const toDo = taskFor(engineWorkload(model.input, bytes));
    host.tfjsBytes += bytes;
    const { session } = await host.process.ask('openEngine', model, toDo('load'));
    host.open++;
    return {
      run: (images, count) => host.process.ask('runEngine', { session, images, count }, toDo(answerOf(count), count)),
      async close() {
        if (!host.process.isAlive) return;
        host.open--;
        if (host.open === 0 && host.tfjsBytes > KEPT_TFJS_BYTES) return host.process.close();
        await host.process.ask('closeEngine', { session }, toDo('unload'));
      },
    };
  }

  async function openModule(model: RunnableEngineModel, folder: string): Promise<EngineSession> {
    const separate = start();
    if (print) separate.showOutput(print);
    const toDo = taskFor(engineWorkload(model.input, folderBytes(folder)));
    try {
      const { session } = await separate.ask('openEngine', model, toDo('load'));
      return {
        run: (images, count) => separate.ask('runEngine', { session, images, count }, toDo(answerOf(count), count)),
        close: () => separate.close(),
      };
    } catch (error) {
      await separate.close();
      throw error;
    }
  }

  return {
    warmUp() {
      if (!signal.aborted) share();
    },

    async openOnnx(file, { input, ...onnx }): Promise<OnnxSession> {
      const host = share();
      const toDo = taskFor({ bytes: folderBytes(path.dirname(file)), pixels: input.width * input.height });
      const { session, ...ports } = await host.process.ask('openOnnx', { file, ...onnx }, toDo('load'));
      host.open++;
      return {
        ...ports,
        run: (feeds, fetches, images) =>
          host.process.ask('runOnnx', { session, feeds, fetches }, toDo(answerOf(images), images)),
        async release() {
          if (!host.process.isAlive) return;
          host.open--;
          await host.process.ask('releaseOnnx', { session }, toDo('unload'));
        },
      };
    },

    async openEngine(model) {
      return model.engine === 'module'
        ? openModule(model, path.dirname(model.module?.path ?? ''))
        : openTfjs(model, path.dirname(model.tfjs?.path ?? ''));
    },

    async answerSizes(tfjs, input) {
      const toDo = taskFor(engineWorkload(input, folderBytes(path.dirname(tfjs.path))));
      return share().process.ask('answerSizes', { tfjs, input }, toDo('load and answer one image', 2));
    },

    async readFront(bytes, front, input) {
      const toDo = taskFor({ bytes: bytes.length, pixels: elementCount(input.dims) / input.channels });
      try {
        const task = toDo('prepare test images', front.ends.length);
        return await share().process.ask('readFront', { bytes, front, input }, task);
      } catch (error) {
        // The whole model may crash, too, and be refused then.
        if (error instanceof ModelError && error.code === 'RUN_CRASHED') return undefined;
        throw error;
      }
    },

    async close() {
      signal.removeEventListener('abort', cancel);
      await Promise.all(Array.from(processes, (one) => one.close()));
    },
  };
}

function canceled(): ModelError {
  return new ModelError('CANCELED', 'canceled');
}

const answerOf = (images: number): string => `answer ${images === 1 ? 'one image' : `${images} images`}`;

function engineWorkload({ width, height }: { width: number; height: number }, bytes: number): Workload {
  return { bytes, pixels: width * height, isSlowEngine: true };
}

/** Of the files directly in a folder: a model's weights are next to it. */
function folderBytes(folder: string): number {
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce(
    (sum, { name }) => sum + (statSync(path.join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

/** Of the machine or the container. */
function memoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, os.totalmem()) : os.totalmem();
}
