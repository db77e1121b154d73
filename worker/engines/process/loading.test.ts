/** Engines that are ended while they load their model. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processExists } from '@inferql/queue/process-exists';
import { pino } from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { EngineModel } from '../engine.ts';
import { EngineProcess } from './engine-process.ts';
import { startSupervisedEngine } from './supervised-engine.ts';

const MODEL: EngineModel = {
  engine: 'scripted',
  input: { width: 1, height: 1, channels: 3 },
  classCount: 1,
  threads: 1,
};

/**
 * An engine that ends at its first run. It loads its model as often as `loads` says; after that, loading takes forever, and it prints its pid.
 */
function writeEngine(loads: 0 | 1): string {
  const folder = mkdtempSync(join(tmpdir(), 'inferql-loading-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'engine.mjs');
  writeFileSync(
    path,
    `import { existsSync, writeFileSync } from 'node:fs';
    const mark = import.meta.dirname + '/loaded';
    process.on('message', ({ type }) => {
      if (type === 'run') process.exit(7);
      if (${loads} === 0 || existsSync(mark)) return console.log('loading ' + process.pid);
      writeFileSync(mark, '');
      process.send({ type: 'loaded', rssBytes: 1, hasHeatmaps: false });
    });`,
  );
  return path;
}

/** A logger, and the pid of the first engine that prints it. */
function watchLoading() {
  let found: (pid: number) => void;
  const loading = new Promise<number>((resolve) => {
    found = resolve;
  });
  const write = (line: string) => {
    const [, pid] = /loading (\d+)/.exec(line) ?? [];
    if (pid) found(Number(pid));
  };
  return { log: pino({ level: 'debug' }, { write }), loading };
}

test('closing an engine that loads its model again after a crash ends the process at once', async () => {
  const { log, loading } = watchLoading();
  const options = { model: MODEL, timeLimitMs: 60_000, loadLimitMs: 600_000, log, childPath: writeEngine(1) };
  const engine = await startSupervisedEngine(options);
  await expect(engine.run([new Uint8Array(3)], false)).rejects.toMatchObject({ code: 'ENGINE_CRASHED' });
  const pid = await loading;
  await engine.close();
  expect(processExists(pid)).toBe(false);
  await expect(engine.ready()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('the first loading can be ended, too', async () => {
  const { log, loading } = watchLoading();
  const options = { model: MODEL, timeLimitMs: 60_000, loadLimitMs: 600_000, log, childPath: writeEngine(0) };
  const ending = new AbortController();
  const starting = startSupervisedEngine(options, ending.signal);
  const failure = expect(starting).rejects.toMatchObject({ name: 'EngineLoadError' });
  const pid = await loading;
  ending.abort();
  await failure;
  expect(processExists(pid)).toBe(false);
});

test('an engine does not report what it loads to the vendor of its library', async () => {
  vi.stubEnv('ORT_DISABLE_TELEMETRY', undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  const folder = mkdtempSync(join(tmpdir(), 'inferql-loading-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const childPath = join(folder, 'engine.mjs');
  const loaded = "{ type: 'loaded', rssBytes: Number(process.env.ORT_DISABLE_TELEMETRY), hasHeatmaps: false }";
  writeFileSync(childPath, `process.on('message', () => process.send(${loaded}));`);
  const { log } = watchLoading();
  const engine = await EngineProcess.start({ model: MODEL, timeLimitMs: 60_000, loadLimitMs: 60_000, log, childPath });
  onTestFinished(() => engine.kill());
  expect(engine.rssBytes()).toBe(1);
});
