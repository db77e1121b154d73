import type { WorkerOptions } from './options.ts';

export interface RunningWorker {
  /** Names of the models that are served now. */
  models(): string[];
  /** Claims nothing more, finishes running work, and ends the engines. Other workers serve what is queued. */
  stop(): Promise<void>;
}

/**
 * Starts a worker inside another program. Engines run in separate processes, which exit with this one, even if it is killed. The worker
 * reads no environment variables and handles no signals; several may run in one process.
 * @returns once at least one model is warm and registered; the log says why others are not
 * @throws TypeError that names an invalid option and what was expected; Error if Redis does not respond within ten seconds, or if no model
 * can be served
 * @example
 * const worker = await startWorker({ redisUrl: 'redis://127.0.0.1:6379', models: './models' });
 * process.once('SIGTERM', () => worker.stop());
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  // An engine's process imports this package only for `defineModel`, and loads no worker.
  const { runWorker } = await import('./run-worker.ts');
  return runWorker(options);
}
