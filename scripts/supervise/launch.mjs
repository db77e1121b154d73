// `npm start`: set-up, Redis, workers and server, until a signal.

import { waitForExternalRedis } from '../redis/external.mjs';
import { startPrivateRedis } from '../redis/private.mjs';
import { provideRedisServer } from '../setup/redis-binary.mjs';
import { complain, describeFailure, say, showStep } from '../setup/screen.mjs';
import { setUpProject, withSetupLock } from '../setup/setup.mjs';
import { endRunningTool } from '../setup/tools.mjs';
import { checkPortIsFree, readSettings } from './settings.mjs';
import { listenForStop } from './signals.mjs';
import { startSystem } from './system.mjs';

const EXIT_OF_SIGNAL = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

export async function launch() {
  let system;
  let stopWished;
  listenForStop((count, signal) => {
    stopWished ??= signal;
    // Nothing is accepted yet, and every step of the set-up may be cut off anywhere.
    if (!system) endRunningTool().finally(() => process.exit(EXIT_OF_SIGNAL[signal]));
    else if (count === 1) {
      say('\nStopping: what is running is finished first.');
      finish(system, 0);
    } else if (count === 2) system.describeRunning();
    else system.killChildren('Asked three times.');
  });

  let redis;
  try {
    const settings = readSettings();
    await checkPortIsFree(settings.port, settings.host);
    // Before the slow work, too.
    if (settings.redisUrl) await waitForExternalRedis(settings.redisUrl);
    redis = await withSetupLock(async () => {
      const binary = settings.redisUrl ? undefined : await provideRedisServer();
      await setUpProject();
      return binary ? await startPrivateRedis(binary) : { url: settings.redisUrl, stop: async () => {} };
    });
    system = startSystem({ settings, redis });
    const url = await showStep('Warming the models up', () => system.listening);
    if (!stopWished) say(`InferQL is ready: ${url}\n  GraphiQL: ${url}/graphql   Stop: Ctrl-C`);
  } catch (error) {
    complain(`\n${describeFailure(error)}`);
    if (system) await finish(system, 1);
    else {
      await redis?.stop();
      process.exit(1);
    }
  }
}

async function finish(system, code) {
  const allLeft = await system.stop();
  // Not left to an empty event loop: a pipe that somebody else holds would keep it from being empty.
  process.exit(allLeft ? code : 1);
}
