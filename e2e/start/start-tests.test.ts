/** `npm test` in a clone: while a system is running, and after it was interrupted while it built. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Launcher } from '@inferql/testing/launcher/launcher';
import {
  BUILD_TIMEOUT_MS,
  CATS,
  classifyCat,
  clone,
  listOurs,
  poll,
  removeBuiltCode,
  setUpClone,
  start,
  startReady,
  untilCompiling,
} from '@inferql/testing/launcher/launcher-fixture';
import { expect, test } from 'vitest';

/** One file of a suite that sets up all that tests need: a build, a Redis, the model. */
const TEST = 'queue/test/memory.test.ts';

setUpClone({ built: true });

/** Adds a model of the user that cannot be prepared: preparing it would fail the run. */
function addModel(): void {
  mkdirSync(join(clone.dir, 'models/mine'), { recursive: true });
  writeFileSync(join(clone.dir, 'models/mine/model.json5'), '{ not: a model');
}

/** Begins `npm test` on one file. */
function startTests(port?: string): Promise<Launcher> {
  // Settings of the user, which must not change the tests.
  const env = { INFERQL_MODELS_DIR: '/nowhere', ...(port && { PORT: port }) };
  return start(env, ['test', 'integration', TEST]);
}

async function expectPass(tests: Launcher): Promise<void> {
  const code = await tests.exited();
  expect([code, tests.output()]).toEqual([0, expect.stringMatching(/1 of 1 files, [1-9]\d* tests passed, 0 failed/)]);
}

/** The models as they are, without what others that share the folder of prepared ones are writing at this moment. */
function lookAtModels() {
  const isWhole = (name: string) => !name.startsWith('.') && !/\.[0-9a-f]{8}$/.test(name);
  const list = (path: string) => readdirSync(join(clone.dir, path)).filter(isWhole).sort();
  return {
    mine: readFileSync(join(clone.dir, 'models/mine/model.json5'), 'utf8'),
    models: list('models'),
    prepared: list('.inferql/models/resnet50'),
    others: list('.inferql/models'),
  };
}

test(
  'runs while a system is running, and leaves it, its build and the user’s models unchanged',
  async () => {
    const { launcher, url } = await startReady({ INFERQL_MODELS: 'resnet50' });
    addModel();
    const look = () => ({
      ...lookAtModels(),
      server: statSync(join(clone.dir, 'dist/server/main.js')).mtimeMs,
      running: readdirSync(join(clone.dir, '.inferql')).filter((name) => name.startsWith('running-')),
    });
    const before = look();
    await expectPass(await startTests(new URL(url).port));
    expect(look()).toEqual(before);
    expect(launcher.process.exitCode).toBeNull();
    expect(CATS).toContain(await classifyCat(url));
  },
  BUILD_TIMEOUT_MS,
);

test.each([
  ['killed', 'SIGKILL', 'SIGKILL'],
  ['interrupted by Ctrl-C', 'SIGINT', 130],
] as const)(
  'if it is %s while it builds, the next run builds again and passes, and the user’s models stay',
  async (_what, signal, exit) => {
    const dist = join(clone.dir, 'dist');
    removeBuiltCode();
    addModel();
    const before = lookAtModels();

    const interrupted = await startTests();
    await untilCompiling();
    interrupted.signalGroup(signal);
    expect(await interrupted.exited()).toBe(exit);
    expect(readdirSync(dist)).toEqual(['web']);

    await expectPass(await startTests());
    expect(existsSync(join(dist, 'server/main.js'))).toBe(true);
    // The compiler of the killed run, too, has ended.
    await expect.poll(listOurs, poll).toEqual([]);
    expect(lookAtModels()).toEqual(before);
  },
  BUILD_TIMEOUT_MS,
);
