import { HeldJobs } from '@inferql/queue/jobs/held-jobs';
import type { ClaimedJob } from '@inferql/queue/jobs/stream-entry';
import { expect, test } from 'vitest';
import { createQueue, idsOf, job, LONG_MS, nextTurn, startBatcher } from './batcher.fixture.ts';
import { Batcher } from './prefetching-batcher.ts';

test('while a blocked read is pending nothing else is asked of the queue, and what ends it is claimed at once', async () => {
  let endBlockedRead: ((jobs: ClaimedJob[]) => void) | undefined;
  let claims = 0;
  const batcher = new Batcher({
    maxBatchSize: 8,
    maxQueueDelayMs: 0,
    expectedRunMs: () => 0,
    onClaimError: (error) => expect.unreachable(String(error)),
    consumer: {
      held: new HeldJobs(),
      waitForJobs: () =>
        new Promise((resolve) => {
          endBlockedRead = resolve;
        }),
      async claim() {
        claims++;
        return [];
      },
    },
  });
  while (!endBlockedRead) await nextTurn();
  batcher.engineIsIdle();
  await nextTurn();
  expect(claims).toBe(1);
  endBlockedRead([job('1-0')]);
  // Its notifier and this one wake the same listener.
  batcher.engineIsIdle();
  expect((await batcher.next())?.jobs.map(({ entryId }) => entryId)).toEqual(['1-0']);
}, 5_000);

test('a lone job does not wait for others that nothing announces', async () => {
  const queue = createQueue();
  const batcher = startBatcher(queue, 8, LONG_MS);
  const next = batcher.next();
  queue.push('only');
  expect(idsOf(await next)).toEqual(['only']);
});

test('if jobs come close together, an idle engine waits for more, until the batch is full', async () => {
  const queue = createQueue();
  const burst = [
    ['1', '2', '3'],
    ['4', '5', '6'],
    ['a', 'b', 'c'],
  ];
  queue.push(...burst.flat());
  const batcher = startBatcher(queue, 3, LONG_MS);
  for (const ids of burst) {
    expect(idsOf(await batcher.next())).toEqual(ids);
    batcher.engineIsIdle();
  }
  const next = batcher.next();
  for (const ids of [['7'], ['8', '9', '10']]) {
    await nextTurn();
    queue.push(...ids);
  }
  expect(idsOf(await next)).toEqual(['7', '8', '9']);
  queue.push('11', '12');
  batcher.engineIsIdle();
  expect(idsOf(await batcher.next())).toEqual(['10', '11', '12']);
});

test('a batch that stays short goes after maxQueueDelayMs', async () => {
  const queue = createQueue();
  queue.push('1', '2', '3', '4', '5', '6', '7', '8', '9', '10');
  const batcher = startBatcher(queue, 4, 30);
  expect(idsOf(await batcher.next())).toEqual(['1', '2', '3', '4']);
  batcher.engineIsIdle();
  // By now more are expected.
  expect(idsOf(await batcher.next())).toEqual(['5', '6', '7', '8']);
  const idleAtMs = performance.now();
  batcher.engineIsIdle();
  expect(idsOf(await batcher.next())).toEqual(['9', '10']);
  // Timers may be a millisecond early.
  expect(performance.now() - idleAtMs).toBeGreaterThan(28);
});

test('while the engine runs, nothing is claimed until shortly before its expected end; if it ends early, at once', async () => {
  const queue = createQueue();
  queue.push('1', '2', '3');
  const batcher = startBatcher(queue, 1, 0, LONG_MS);
  expect(idsOf(await batcher.next())).toEqual(['1']);
  const expectedEndMs = performance.now() + 200;
  batcher.engineStarts(expectedEndMs);
  expect(idsOf(await batcher.next())).toEqual(['2']);
  expect(queue.claimedAtMs.at(-1)).toBeGreaterThan(expectedEndMs - 50);
  const next = batcher.next();
  batcher.engineIsIdle();
  expect(idsOf(await next)).toEqual(['3']);
});

test('what was redelivered goes first, and alone if an attempt at it was lost', async () => {
  const queue = createQueue();
  const batcher = startBatcher(queue, 8, 0);
  batcher.pushRedelivered([{ ...job('lost'), redelivered: true }, job('only claimed')]);
  queue.push('1', '2');
  expect(idsOf(await batcher.next())).toEqual(['lost']);
  batcher.engineIsIdle();
  expect(idsOf(await batcher.next())?.[0]).toBe('only claimed');
});

test('what was redelivered goes before jobs that a wait has brought', async () => {
  const queue = createQueue();
  const batcher = startBatcher(queue, 8, 0);
  await queue.whenWaitedFor();
  batcher.pushIsolated({ jobs: [job('alone')] });
  expect(idsOf(await batcher.next())).toEqual(['alone']);
  queue.push('1');
  await nextTurn();
  batcher.pushRedelivered([job('only claimed')]);
  batcher.engineIsIdle();
  expect(idsOf(await batcher.next())).toEqual(['only claimed', '1']);
});

test('a closed batcher returns what it holds, then nothing, and is closed once nothing is held', async () => {
  const queue = createQueue();
  const batcher = startBatcher(queue, 1, 0);
  queue.push('1', '2');
  const first = await batcher.next();
  batcher.engineIsIdle();
  const second = await batcher.next();
  batcher.pushRedelivered(queue.held.add([job('3')]));
  let isClosed = false;
  const closing = batcher.close().then(() => {
    isClosed = true;
  });
  const third = await batcher.next();
  expect(idsOf(third)).toEqual(['3']);
  queue.held.remove([...first!.jobs, ...third!.jobs]);
  await nextTurn();
  expect(isClosed).toBe(false);
  queue.push('never claimed by this one, but by its blocked read');
  queue.held.remove(second!.jobs);
  const rest = await batcher.next();
  if (rest) {
    queue.held.remove(rest.jobs);
    expect(await batcher.next()).toBeUndefined();
  }
  await closing;
});

test('a batcher that waits for jobs takes redelivered ones at once, and is closed only after its wait, with what that brought', async () => {
  const queue = createQueue();
  const batcher = startBatcher(queue, 1, 0, 0);
  await queue.whenWaitedFor();
  batcher.pushRedelivered(queue.held.add([job('redelivered')]));
  const redelivered = await batcher.next();
  expect(idsOf(redelivered)).toEqual(['redelivered']);
  batcher.engineIsIdle();
  queue.held.remove(redelivered!.jobs);
  let isClosed = false;
  const closing = batcher.close().then(() => {
    isClosed = true;
  });
  await nextTurn();
  expect(isClosed).toBe(false);
  queue.push('late', 'later');
  for (const id of ['late', 'later']) {
    const late = await batcher.next();
    expect(idsOf(late)).toEqual([id]);
    queue.held.remove(late!.jobs);
  }
  await closing;
});
