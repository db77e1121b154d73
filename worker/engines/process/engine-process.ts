import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { InferqlError } from '@inferql/queue/errors';
import { BYTES_PER_ELEMENT } from '@inferql/queue/outputs';
import type { Logger } from 'pino';
import { EngineLoadError, type EngineModel, type EngineOutput } from '../engine.ts';
import { type EngineOutputSpec, type OutputArrays, viewArray } from '../output-arrays.ts';
import { ANSWERS_AT, type FromEngine, paddedLength, type ToEngine } from './protocol.ts';
import { openSharedMemory, readBytes, readFloats, writeImages } from './shared-memory.ts';

/** A timer that fires this late means that this process was stopped, not that the engine hangs. */
const LATE_TIMER_MS = 250;
const AFTER_LATE_TIMER_MS = 2_000;
const LAST_LINES = 20;
/** A process that the engine left behind may keep its output open: the lines are no longer waited for. */
const LAST_LINES_WAIT_MS = 1_000;

export interface EngineProcessOptions {
  model: EngineModel;
  /** Time limit of one run; an engine that takes longer is killed and restarted. */
  timeLimitMs: number;
  /** Time limit for loading the model. @default 120000 */
  loadLimitMs?: number;
  log: Logger;
  /** The engine process' main file. @default engine-process-main beside this module */
  childPath?: string;
}

export interface EngineRun extends EngineOutput {
  /** Wall time of the run inside the engine. */
  inferenceMs: number;
}

/** One run of an engine process, from start to exit. */
export interface EngineProcess {
  pid: number;
  hasHeatmaps: boolean;
  run(images: readonly Uint8Array[], wantHeatmaps: boolean): Promise<EngineRun>;
  rssBytes(): number;
  /** The last lines that it wrote. Call it once the process has ended: they may arrive after its end. */
  lastLines(): Promise<string[]>;
  ended: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>;
  kill(): Promise<void>;
}

export async function startEngineProcess(options: EngineProcessOptions): Promise<EngineProcess> {
  const { model, timeLimitMs, log } = options;
  const sharedFd = openSharedMemory();
  const child = fork(options.childPath ?? fileURLToPath(new URL('./engine-process-main.js', import.meta.url)), [], {
    // The end of standard input shows the engine its worker's death; nothing is ever written to it.
    stdio: ['pipe', 'pipe', 'pipe', 'ipc', sharedFd],
    execArgv: [],
  });
  const lines = collectLines(child, log);
  let rssBytes = 0;
  let lastId = 0;
  let waiting:
    | { id: number; count: number; resolve: (run: EngineRun) => void; reject: (error: unknown) => void }
    | undefined;
  let timedOut = false;

  const ended = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    const finish = (exitCode: number | null, signal: NodeJS.Signals | null) => {
      waiting?.reject(new InferqlError(timedOut ? 'ENGINE_TIMEOUT' : 'ENGINE_CRASHED'));
      waiting = undefined;
      resolve({ exitCode, signal });
    };
    child.once('exit', finish);
    child.once('error', () => {
      // 'error' without 'exit' means that the process never started.
      if (child.pid === undefined) finish(null, null);
    });
  });
  void ended.then(() => closeSync(sharedFd));

  const kill = async () => {
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) child.kill('SIGKILL');
    await ended;
  };

  const answerRun = (message: Extract<FromEngine, { type: 'done' | 'failed' }>) => {
    if (waiting?.id !== message.id) return;
    const { count, resolve, reject } = waiting;
    waiting = undefined;
    if (message.type === 'failed') {
      reject(new InferqlError('MODEL_FAILED', { cause: new Error(message.message) }));
      return;
    }
    rssBytes = message.rssBytes;
    if (message.probabilities !== count * model.classCount) {
      reject(
        new InferqlError('MODEL_FAILED', { cause: new Error(`${message.probabilities} values for ${count} images`) }),
      );
      return;
    }
    try {
      const probabilities = readFloats(sharedFd, message.probabilities, ANSWERS_AT);
      const { inferenceMs, maps } = message;
      const extra = message.extra?.map((text) => (text === null ? undefined : JSON.parse(text)));
      const failures = message.failures?.map((failure) => failure ?? undefined);
      const plain = { probabilities, inferenceMs, ...(extra && { extra }), ...(failures && { failures }) };
      const mapsLength = maps ? count * maps.labels * maps.width * maps.height : 0;
      const mapsAt = ANSWERS_AT + probabilities.byteLength;
      const outputs = model.outputs && readOutputs(sharedFd, model.outputs, count, mapsAt + mapsLength * 4);
      const answer = { ...plain, ...(outputs && { outputs }) };
      if (!maps) return resolve(answer);
      resolve({ ...answer, maps: { ...maps, values: readFloats(sharedFd, mapsLength, mapsAt) } });
    } catch (error) {
      reject(new InferqlError('MODEL_FAILED', { cause: error }));
    }
  };

  const run = (images: readonly Uint8Array[], wantHeatmaps: boolean) =>
    new Promise<EngineRun>((resolve, reject) => {
      if (waiting) return reject(new Error('the engine is running a batch already'));
      const id = ++lastId;
      try {
        writeImages(sharedFd, images);
      } catch (error) {
        return reject(new InferqlError('MODEL_FAILED', { cause: error }));
      }
      const timer = armTimeLimit(timeLimitMs, () => {
        timedOut = true;
        child.kill('SIGKILL');
      });
      waiting = {
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
      sendToEngine(child, { type: 'run', id, count: images.length, wantHeatmaps });
    });

  const hasHeatmaps = await new Promise<boolean>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
    }, options.loadLimitMs ?? 120_000);
    void ended.then(async ({ exitCode, signal }) => {
      clearTimeout(timer);
      const how = `exit code ${exitCode}, signal ${signal}`;
      const lastLines = (await lines.last()).join(' | ');
      reject(new EngineLoadError('failed', `the engine ended while it loaded the model (${how}): ${lastLines}`));
    });
    child.on('message', (message: FromEngine) => {
      switch (message.type) {
        case 'loaded':
          clearTimeout(timer);
          rssBytes = message.rssBytes;
          return resolve(message.hasHeatmaps);
        case 'loadFailed':
          clearTimeout(timer);
          reject(new EngineLoadError(message.failure, message.message));
          void kill();
          return;
        case 'done':
        case 'failed':
          return answerRun(message);
        default:
          message satisfies never;
      }
    });
    sendToEngine(child, { type: 'load', model });
  });

  return { pid: child.pid!, hasHeatmaps, run, rssBytes: () => rssBytes, lastLines: lines.last, ended, kill };
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

function sendToEngine(child: ChildProcess, message: ToEngine): void {
  // A failure to send means that the process ended; its 'exit' event handles that.
  if (child.connected) child.send(message, () => {});
}

/** The engine's output is not part of our log: it is kept for a report of its end, and logged at level debug. */
function collectLines(child: ChildProcess, log: Logger): { last(): Promise<string[]> } {
  const last: string[] = [];
  const readers = [child.stdout!, child.stderr!].map((stream) =>
    createInterface({ input: stream }).on('line', (line) => {
      last.push(line.slice(0, 500));
      if (last.length > LAST_LINES) last.shift();
      log.debug({ line }, 'engine output');
    }),
  );
  const allRead = Promise.all(readers.map((reader) => once(reader, 'close')));
  child.stdin!.on('error', () => {});
  return {
    last: async () => {
      await Promise.race([allRead, delay(LAST_LINES_WAIT_MS, undefined, { ref: false })]);
      return last;
    },
  };
}

function armTimeLimit(limitMs: number, onLimit: () => void): { clear(): void } {
  const arm = (waitMs: number): NodeJS.Timeout => {
    const dueAtMs = performance.now() + waitMs;
    return setTimeout(() => {
      // After a stop (SIGSTOP) of this process the answer may already be in the socket: read it first.
      if (performance.now() - dueAtMs > LATE_TIMER_MS) timer = arm(AFTER_LATE_TIMER_MS);
      else onLimit();
    }, waitMs);
  };
  let timer = arm(limitMs);
  return { clear: () => clearTimeout(timer) };
}
