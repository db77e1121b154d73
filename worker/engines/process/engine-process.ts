import { type ChildProcess, fork } from 'node:child_process';
import { addAbortListener } from 'node:events';
import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withoutTelemetry } from '@inferql/converter/child-process/without-telemetry';
import { startDeadline } from '@inferql/converter/model-process/deadline';
import { InferqlError } from '@inferql/queue/error-codes';
import { BYTES_PER_ELEMENT } from '@inferql/queue/outputs';
import type { Logger } from 'pino';
import { EngineLoadError, type EngineModel, type EngineOutput } from '../engine.ts';
import { type EngineOutputSpec, type OutputArrays, viewArray } from '../output-arrays.ts';
import { collectLines } from './output-lines.ts';
import { ANSWERS_AT, type FromEngine, paddedLength, type ToEngine } from './protocol.ts';
import { openSharedMemory, readBytes, readFloats, writeImages } from './shared-memory.ts';

/** Of a run: it is shorter than what is asked of a model that is being added. */
const LATENESS = { lateMs: 250, afterLateMs: 2_000 };

export interface EngineProcessOptions {
  model: EngineModel;
  /** Time limit of one run; an engine that takes longer is killed and restarted. */
  timeLimitMs: number;
  /** Time limit for loading the model. */
  loadLimitMs: number;
  log: Logger;
  /** The engine process' main file. @default engine-process-main next to this module */
  childPath?: string;
}

export interface EngineRun extends EngineOutput {
  /** Wall time of the run inside the engine. */
  inferenceMs: number;
}

type Answer = Extract<FromEngine, { type: 'done' | 'failed' }>;

/** How a process ended. Both are null if it never started. */
interface Exit {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
}

/** One run of an engine process, from start to exit. */
export class EngineProcess {
  /** Resolves when the process has ended. */
  readonly ended: Promise<Exit>;
  readonly #model: EngineModel;
  readonly #timeLimitMs: number;
  readonly #sharedFd: number;
  readonly #child: ChildProcess;
  readonly #lines: { last(): Promise<string[]> };
  #loading: { resolve(): void; reject(error: EngineLoadError): void } | undefined;
  #hasHeatmaps = false;
  #rssBytes = 0;
  #lastId = 0;
  #waiting:
    | { id: number; count: number; resolve: (run: EngineRun) => void; reject: (error: unknown) => void }
    | undefined;
  #timedOut = false;

  /**
   * Starts a process and loads the model.
   * @param signal ends the process if it is aborted before the model is loaded
   * @throws EngineLoadError if it could not be loaded; the process has then ended, or is ending
   */
  static async start(options: EngineProcessOptions, signal?: AbortSignal): Promise<EngineProcess> {
    const engine = new EngineProcess(options);
    const ending = signal && addAbortListener(signal, () => void engine.kill());
    try {
      await engine.#load(options.loadLimitMs);
    } finally {
      ending?.[Symbol.dispose]();
    }
    return engine;
  }

  private constructor({ model, timeLimitMs, log, childPath }: EngineProcessOptions) {
    this.#model = model;
    this.#timeLimitMs = timeLimitMs;
    this.#sharedFd = openSharedMemory();
    this.#child = fork(childPath ?? fileURLToPath(new URL('./engine-process-main.js', import.meta.url)), [], {
      // The end of standard input shows the engine its worker's death; nothing is ever written to it.
      stdio: ['pipe', 'pipe', 'pipe', 'ipc', this.#sharedFd],
      execArgv: [],
      env: engineEnvironment(),
    });
    this.#lines = collectLines(this.#child, log);
    this.ended = this.#awaitEnd();
    void this.ended.then(() => closeSync(this.#sharedFd));
    this.#child.on('message', (message: FromEngine) => this.#receive(message));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Whether a run can return maps. */
  get hasHeatmaps(): boolean {
    return this.#hasHeatmaps;
  }

  #load(limitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = startDeadline(limitMs, () => {
        isLate = true;
        this.#child.kill('SIGKILL');
      });
      const settle = (act: () => void) => {
        timer.clear();
        act();
      };
      this.#loading = {
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      void this.ended.then(async ({ exitCode, signal }) => {
        const how = `exit code ${exitCode}, signal ${signal}`;
        const lastLines = (await this.lastLines()).join(' | ');
        const message = isLate
          ? `the engine did not load the model within ${limitMs} ms (INFERQL_ENGINE_LOAD_LIMIT_MS): ${lastLines}`
          : `the engine ended while it loaded the model (${how}): ${lastLines}`;
        this.#loading?.reject(new EngineLoadError('failed', message));
      });
      sendToEngine(this.#child, { type: 'load', model: this.#model, limitMs });
    });
  }

  /**
   * Runs one batch; the images have height x width x channels bytes each. One run at a time.
   * @throws InferqlError ENGINE_CRASHED, ENGINE_TIMEOUT, MODEL_FAILED (the engine threw)
   */
  run(images: readonly Uint8Array[], wantHeatmaps: boolean): Promise<EngineRun> {
    return new Promise((resolve, reject) => {
      if (this.#waiting) return reject(new Error('the engine is running a batch already'));
      const id = ++this.#lastId;
      try {
        writeImages(this.#sharedFd, images);
      } catch (error) {
        return reject(new InferqlError('MODEL_FAILED', { cause: error }));
      }
      const onLimit = () => {
        this.#timedOut = true;
        this.#child.kill('SIGKILL');
      };
      const timer = startDeadline(this.#timeLimitMs, onLimit, LATENESS);
      this.#waiting = {
        id,
        count: images.length,
        resolve: (answer) => {
          timer.clear();
          resolve(answer);
        },
        reject: (error) => {
          timer.clear();
          reject(error);
        },
      };
      sendToEngine(this.#child, { type: 'run', id, count: images.length, wantHeatmaps });
    });
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'loaded':
        this.#rssBytes = message.rssBytes;
        this.#hasHeatmaps = message.hasHeatmaps;
        this.#loading?.resolve();
        return;
      case 'loadFailed':
        this.#loading?.reject(new EngineLoadError(message.failure, message.message));
        void this.kill();
        return;
      case 'done':
      case 'failed':
        this.#answerRun(message);
        return;
      default:
        message satisfies never;
    }
  }

  #answerRun(message: Answer): void {
    if (this.#waiting?.id !== message.id) return;
    const { count, resolve, reject } = this.#waiting;
    this.#waiting = undefined;
    try {
      if (message.type === 'failed') throw new Error(message.message);
      this.#rssBytes = message.rssBytes;
      resolve(this.#readRun(message, count));
    } catch (cause) {
      reject(new InferqlError('MODEL_FAILED', { cause }));
    }
  }

  #readRun(message: Extract<Answer, { type: 'done' }>, count: number): EngineRun {
    const { classCount, outputs: specs } = this.#model;
    if (message.probabilities !== count * classCount) {
      throw new Error(`${message.probabilities} values for ${count} images`);
    }
    const probabilities = readFloats(this.#sharedFd, message.probabilities, ANSWERS_AT);
    const { inferenceMs, maps } = message;
    const extra = message.extra?.map((text) => (text === null ? undefined : JSON.parse(text)));
    const failures = message.failures?.map((failure) => failure ?? undefined);
    const mapsLength = maps ? count * maps.labels * maps.width * maps.height : 0;
    const mapsAt = ANSWERS_AT + probabilities.byteLength;
    const outputs = specs && readOutputs(this.#sharedFd, specs, count, mapsAt + mapsLength * 4);
    return {
      probabilities,
      inferenceMs,
      ...(extra && { extra }),
      ...(failures && { failures }),
      ...(outputs && { outputs }),
      ...(maps && { maps: { ...maps, values: readFloats(this.#sharedFd, mapsLength, mapsAt) } }),
    };
  }

  /** Resident memory after the last answer. */
  rssBytes(): number {
    return this.#rssBytes;
  }

  /** The last lines that it wrote. Call it once the process has ended: they may arrive after its end. */
  lastLines(): Promise<string[]> {
    return this.#lines.last();
  }

  /** Resolves once the process has ended. A run in progress fails. */
  async kill(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#child;
    if (exitCode === null && signalCode === null && pid !== undefined) this.#child.kill('SIGKILL');
    await this.ended;
  }

  #awaitEnd(): Promise<Exit> {
    return new Promise((resolve) => {
      const finish = (exitCode: number | null, signal: NodeJS.Signals | null) => {
        this.#waiting?.reject(new InferqlError(this.#timedOut ? 'ENGINE_TIMEOUT' : 'ENGINE_CRASHED'));
        this.#waiting = undefined;
        resolve({ exitCode, signal });
      };
      this.#child.once('exit', finish);
      this.#child.once('error', () => {
        // 'error' without 'exit' means that the process never started.
        if (this.#child.pid === undefined) finish(null, null);
      });
    });
  }
}

/** The arrays that the engine wrote behind its probabilities and maps, in the order of the specification. */
function readOutputs(fd: number, specs: readonly EngineOutputSpec[], count: number, position: number): OutputArrays {
  const outputs: OutputArrays = {};
  let at = position;
  for (const { name, dtype, elements } of specs) {
    const bytes = count * elements * BYTES_PER_ELEMENT[dtype];
    outputs[name] = viewArray(dtype, readBytes(fd, bytes, at));
    at += paddedLength(bytes);
  }
  return outputs;
}

/** Without the launcher's advice to malloc: an engine asks for the same large buffers with each run, and keeps them better. */
function engineEnvironment(): NodeJS.ProcessEnv {
  const { MALLOC_TRIM_THRESHOLD_: _, ...env } = process.env;
  return withoutTelemetry(env);
}

function sendToEngine(child: ChildProcess, message: ToEngine): void {
  // A failure to send means that the process ended; its 'exit' event handles that.
  if (child.connected) child.send(message, () => {});
}
