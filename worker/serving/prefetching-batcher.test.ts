import { HeldJobs } from '@inferql/queue/jobs/held-jobs';
import type { ClaimedJob } from '@inferql/queue/jobs/stream-entry';
import { expect, test } from 'vitest';
import { type Batch, Batcher } from './prefetching-batcher.ts';

const job = (entryId: string, stream = 'stream'): ClaimedJob => ({
  entryId,
  stream,
  jobId: entryId,
  tenant: 'anonymous',
  image: Buffer.alloc(1),
  options: { heatmap: false },
  redelivered: false,
  readable: true,
});

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

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

/** A queue in memory: what `push` adds is claimed in order, and ends a blocked read. */
function createQueue() {
  const waiting: ClaimedJob[] = [];
  const claimedAtMs: number[] = [];
  const held = new HeldJobs();
  let endBlockedRead: (() => void) | undefined;
  return {
    claimedAtMs,
    held,
    push(...ids: string[]) {
      waiting.push(...ids.map((id) => job(id)));
      endBlockedRead?.();
    },
    async claim(max: number) {
      const jobs = waiting.splice(0, max);
      if (jobs.length > 0) claimedAtMs.push(performance.now());
      return held.add(jobs);
    },
    async waitForJobs() {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          endBlockedRead = resolve;
        });
      }
      endBlockedRead = undefined;
      claimedAtMs.push(performance.now());
      // One per lane.
      return held.add(waiting.splice(0, 3));
    },
    async whenWaitedFor() {
      while (!endBlockedRead) await nextTurn();
    },
  };
}

function startBatcher(
  consumer: ReturnType<typeof createQueue>,
  maxBatchSize: number,
  maxQueueDelayMs: number,
  runMs = LONG_MS,
) {
  return new Batcher({
    consumer,
    maxBatchSize,
    maxQueueDelayMs,
    expectedRunMs: () => runMs,
    onClaimError: (error) => expect.unreachable(String(error)),
  });
}

const idsOf = (batch: Batch | undefined) => batch?.jobs.map(({ entryId }) => entryId);
const LONG_MS = 60_000;

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
  queue.push('late');
  const late = await batcher.next();
  expect(idsOf(late)).toEqual(['late']);
  queue.held.remove(late!.jobs);
  await closing;
});

test('a job that another worker lost while this one claimed does not wait for the end of a blocked read', async () => {
  let endClaim: (() => void) | undefined;
  const batcher = new Batcher({
    maxBatchSize: 8,
    maxQueueDelayMs: 0,
    expectedRunMs: () => 0,
    onClaimError: (error) => expect.unreachable(String(error)),
    consumer: {
      held: new HeldJobs(),
      claim: () =>
        new Promise((resolve) => {
          endClaim = () => resolve([]);
        }),
      waitForJobs: () => new Promise(() => {}),
    },
  });
  const taken: (string[] | undefined)[] = [];
  for (const lost of [{ ...job('attempted'), redelivered: true }, job('only claimed')]) {
    while (!endClaim) await nextTurn();
    batcher.pushRedelivered([lost]);
    endClaim();
    endClaim = undefined;
    taken.push(idsOf(await batcher.next()));
    batcher.engineIsIdle();
  }
  expect(taken).toEqual([['attempted'], ['only claimed']]);
});

test.each(['a job to run alone', 'the end of the batcher'])(
  'a batch that waits for more goes at once for %s',
  async (why) => {
    const queue = createQueue();
    queue.push('1', '2', '3', '4', '5', '6', '7', '8', '9');
    const batcher = startBatcher(queue, 4, LONG_MS);
    for (const ids of [
      ['1', '2', '3', '4'],
      ['5', '6', '7', '8'],
    ]) {
      expect(idsOf(await batcher.next())).toEqual(ids);
      batcher.engineIsIdle();
    }
    const next = batcher.next();
    await queue.whenWaitedFor();
    if (why === 'the end of the batcher') void batcher.close();
    else batcher.pushIsolated({ jobs: [job('alone')] });
    expect(idsOf(await next)).toEqual(['9']);
  },
);

test('claims that fail are repeated with pauses, and reported', async () => {
  const errors: unknown[] = [];
  const queue = createQueue();
  let isDown = true;
  const ifUp = async (claim: () => Promise<ClaimedJob[]>) => {
    if (isDown) throw new Error('ERR refused by the test');
    return claim();
  };
  const batcher = new Batcher({
    maxBatchSize: 8,
    maxQueueDelayMs: 0,
    expectedRunMs: () => 0,
    onClaimError(error) {
      errors.push(error);
      isDown = errors.length < 2;
    },
    consumer: {
      held: queue.held,
      claim: (max) => ifUp(() => queue.claim(max)),
      waitForJobs: () => ifUp(() => queue.waitForJobs()),
    },
  });
  queue.push('1');
  const startedAtMs = performance.now();
  expect(idsOf(await batcher.next())).toEqual(['1']);
  expect(errors).toHaveLength(2);
  // The second pause is twice the first one.
  expect(performance.now() - startedAtMs).toBeGreaterThan(290);
});
