import { join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { IN_FLIGHT, runScenario, stopInBatch, untilNoneBegan, untilReclaimed } from './scenario.ts';

/** Each with the class that these weights certainly find in it. */
const samples = [
  { file: 'chelsea.png', best: 285 },
  { file: 'coffee.png', best: 967 },
];

test('the real ResNet50: workers killed, all killed, one stopped and continued', async () => {
  const images = await Promise.all(
    samples.map(({ file }) =>
      sharp(join(projectDir, 'models', 'samples', file))
        .resize(320)
        .jpeg({ quality: 95 })
        .toBuffer(),
    ),
  );
  const { verdict } = await runScenario({
    fault: 'ResNet50: kill -9 of one worker, of all, and SIGSTOP of one',
    // The same images are sent repeatedly, and each must be computed.
    system: { models: 'resnet50', env: { INFERQL_SHARE: '0', INFERQL_CACHE_TTL_MS: '0' } },
    load: {
      clients: 290,
      mixed: false,
      picture: (n) => images[n % images.length]!,
      expected: (n) => samples[n % samples.length]!.best,
    },
    async act({ system, redis, load }) {
      const [first, second] = system.workers;
      await stopInBatch(redis, first!, 'resnet50');
      await first!.kill9();
      await first!.restart();
      await load.more(40);
      await load.until(() => load.inFlight() >= IN_FLIGHT);
      await Promise.all([first!.kill9(), second!.kill9()]);
      await Promise.all([first!.restart(), second!.restart()]);
      await load.more(40);
      await load.until(() => load.inFlight() >= IN_FLIGHT);
      // A job that was lost twice must not be lost for a third time.
      await untilNoneBegan(redis, 2, 'resnet50');
      const held = await stopInBatch(redis, second!, 'resnet50');
      await untilReclaimed(redis, second!, held);
      second!.resume();
    },
  });
  expect(verdict.retried.length).toBeGreaterThan(0);
  expect(verdict.ended).toEqual({ SUCCEEDED: verdict.answered });
});
