import { makeServedModel } from '@inferql/testing/data/served-model';
import { expect, test } from 'vitest';
import type { WorkerRecord } from '../contract.ts';
import { meanImageMs, parseQueueState, type QueueReply } from './queue-state.ts';

const WORKER: WorkerRecord = { worker: 'a', version: 'aaaaaaaaaaaa', engine: 'scripted', startedAtMs: 0 };
/** By their records: one that has not run a batch yet, two that have, one that cannot be read. */
const WORKERS: Record<string, WorkerRecord | undefined> = {
  new: WORKER,
  slow: { ...WORKER, imageMs: 20 },
  fast: { ...WORKER, imageMs: 5 },
};

function parse(...records: string[]) {
  const counters = [
    'bytes',
    '24',
    'processing',
    '3',
    'ended:SUCCEEDED',
    '5',
    'ended:EXPIRED',
    '6',
    'ended:CANCELED',
    '7',
  ];
  const reply: QueueReply = [2, 1, counters, records, ['a', '2'], ['a', '1', 'b', '2']];
  return parseQueueState(makeServedModel('tiny'), reply, (record) => WORKERS[record]);
}

test('the state of a queue has the counts of each kind and tenant', () => {
  expect(parse()).toEqual({
    model: 'tiny',
    waiting: 2,
    deadLetters: 1,
    tenants: new Map([['a', 2]]),
    running: new Map([
      ['a', 1],
      ['b', 2],
    ]),
    imageBytes: 12,
    processing: 3,
    queuedBytes: 24,
    workers: [],
    capacityPerSecond: undefined,
    maxQueueSize: 100,
    ended: { SUCCEEDED: 5, FAILED: 0, CANCELED: 7, EXPIRED: 6 },
  });
});

test('the capacity is that of the workers whose time per image is known', () => {
  expect(parse('new').capacityPerSecond).toBeUndefined();
  const { workers, capacityPerSecond } = parse('new', 'slow', 'unreadable', 'fast');
  expect([workers.length, capacityPerSecond]).toEqual([3, 250]);
  expect([meanImageMs(workers), meanImageMs([WORKER])]).toEqual([12.5, undefined]);
});
