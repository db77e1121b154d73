/** From settings to a running system, until a signal ends it. */
import { InvalidConfigurationError } from '@inferql/settings/define-settings';
import { findSettingProblems } from '@inferql/settings/server-settings';
import { findSettingMistakes, readSettings, renameFormerNames } from '@inferql/settings/settings';
import { waitForExternalRedis } from './redis/external-redis.ts';
import type { RunningRedis } from './redis/private-redis.ts';
import { endRunningTool } from './run-tool.ts';
import { checkPortIsFree } from './supervise/listen-address.ts';
import { RunningSystem, type SystemOptions } from './supervise/running-system.ts';
import { listenForStop, type StopSignal } from './supervise/signals.ts';
import { describeFailure, print, printError, showStep } from './terminal.ts';

export type LauncherSettings = ReturnType<typeof readSettings<'launcher'>>;

export interface Prepared extends Pick<SystemOptions, 'programs' | 'cwd' | 'stateDir' | 'modelsDir' | 'companions'> {
  redis: RunningRedis;
  /** More settings of server and workers; the environment wins. */
  env?: Record<string, string>;
}

export interface RunOptions {
  /**
   * Prepares what is needed: packages, builds, models, and a Redis, which is private if REDIS_URL is not set. Called once the
   * settings are read, the port is free and an external Redis answers.
   */
  prepare(settings: LauncherSettings, redisUrl: string | undefined): Promise<Prepared>;
  /** Called once predictions can be answered. */
  onReady?(system: RunningSystem): void;
}

const EXIT_OF_SIGNAL: Record<StopSignal, number> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** Runs a system until a signal ends it, and exits the process: 0 after a signal, 1 after a failure, 128 + n for a signal in the setup. */
export async function runSystem({ prepare, onReady }: RunOptions): Promise<void> {
  let system: RunningSystem | undefined;
  let stopRequest: StopSignal | undefined;
  listenForStop((count, signal) => {
    stopRequest ??= signal;
    // Nothing is accepted yet, and every step of the setup may be interrupted anywhere.
    if (!system) endRunningTool().finally(() => process.exit(EXIT_OF_SIGNAL[signal]));
    else if (count === 1) {
      print('\nStopping after the running work is finished.');
      finish(system, 0);
    } else if (count === 2) system.describeRunning();
    else system.killChildren('Interrupted three times.');
  });

  let redis: RunningRedis | undefined;
  try {
    for (const mistake of findSettingMistakes(process.env)) printError(`  ${mistake}`);
    const problems = findSettingProblems(process.env);
    if (problems.length > 0) throw new InvalidConfigurationError(problems);
    const settings = readSettings('launcher', process.env);
    const redisUrl = process.env.REDIS_URL || undefined;
    await checkPortIsFree(settings.port, settings.host);
    if (redisUrl) await waitForExternalRedis(redisUrl, settings.redisWaitMs);
    const prepared = await prepare(settings, redisUrl);
    redis = prepared.redis;
    system = new RunningSystem({
      ...prepared,
      port: settings.port,
      host: settings.host,
      workers: settings.workers,
      logStyle: settings.logStyle,
      env: { ...prepared.env, ...renameFormerNames(process.env) },
    });
    const { listening } = system;
    const url = await showStep('Warming up the models', () => listening);
    if (stopRequest) return;
    print(`InferQL is ready: ${url}\n  GraphiQL: ${url}/graphql   Stop: Ctrl-C`);
    onReady?.(system);
  } catch (error) {
    printError(`\n${describeFailure(error)}`);
    if (system) await finish(system, 1);
    else {
      await redis?.stop();
      process.exit(1);
    }
  }
}

async function finish(system: RunningSystem, code: number): Promise<void> {
  const allExited = await system.stop();
  // Exit explicitly: a pipe that another process holds would keep the event loop alive.
  process.exit(allExited ? code : 1);
}
