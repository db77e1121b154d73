import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createRequestThread } from './request-thread.ts';

/** Answers with the request's number, or ends by an error that nothing catches. */
const MAIN = `
import { parentPort } from 'node:worker_threads';
parentPort.on('message', ({ id, fails }) => {
  if (fails) throw new Error('no memory');
  parentPort.postMessage({ id, answer: id });
});
`;

test('requests of a thread that ends may be sent again, and its end does not affect those of the next thread', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferql-request-thread-'));
  const main = path.join(folder, 'main.mjs');
  writeFileSync(main, MAIN);
  const thread = createRequestThread<{ fails: boolean }, number>(main);
  onTestFinished(async () => {
    await thread.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const failing = thread.ask({ fails: true });
  const behind = thread.ask({ fails: false });
  // As soon as the first thread has failed, before it reports its exit.
  const next = failing.catch(() => thread.ask({ fails: false }));
  const lost = { status: 'rejected', reason: { code: 'UNAVAILABLE', cause: { message: 'no memory' } } };
  expect(await Promise.allSettled([failing, behind])).toMatchObject([lost, lost]);
  expect(await next).toBe(3);
  expect(thread.pending()).toBe(0);
});
