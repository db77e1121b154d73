/** `npm test` in a clone whose system is running. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BUILD_TIMEOUT_MS, CATS, classifyCat, clone, setUpClone, startReady } from '@inferql/testing/launcher-fixture';
import { expect, test } from 'vitest';

/** One file of a suite that sets up all that tests need: a build, a Redis, the model. */
const TEST = 'queue/test/memory.test.ts';

setUpClone({ built: true });

test(
  'runs beside it, and leaves it, its build and the user’s models unchanged',
  async () => {
    // A model that cannot be prepared: preparing it would fail the run.
    const mine = join(clone.dir, 'models/mine/model.json5');
    mkdirSync(join(mine, '..'), { recursive: true });
    const { launcher, url } = await startReady({ INFERQL_MODELS: 'resnet50' });
    writeFileSync(mine, '{ not: a model');
    const look = () => ({
      mine: readFileSync(mine, 'utf8'),
      prepared: readdirSync(join(clone.dir, '.inferql/models/resnet50')).sort(),
      others: readdirSync(join(clone.dir, '.inferql/models')).sort(),
      server: statSync(join(clone.dir, 'dist/server/main.js')).mtimeMs,
      running: readdirSync(join(clone.dir, '.inferql')).filter((name) => name.startsWith('running-')),
    });
    const before = look();
    const { stdout } = await promisify(execFile)(process.execPath, ['scripts/run.mjs', 'test', 'integration', TEST], {
      cwd: clone.dir,
      env: {
        ...process.env,
        VITEST: undefined,
        NODE_ENV: undefined,
        INFERQL_MODELS_DIR: '/nowhere',
        PORT: new URL(url).port,
      },
    });
    expect(stdout).toMatch(/1 of 1 files, [1-9]\d* tests passed, 0 failed/);
    expect(look()).toEqual(before);
    expect(launcher.process.exitCode).toBeNull();
    expect(CATS).toContain(await classifyCat(url));
  },
  BUILD_TIMEOUT_MS,
);
