import { LiveObjects } from '@inferql/testing/processes/used-memory';
import { expect, test } from 'vitest';
import { createClassNames } from './class-names.ts';

const KEPT = 8;

/** Class names of models that are called 0, 1, 2, ..., and what was read of them, in order. */
function start(readLabels = async (model: string): Promise<string[] | null> => [`of ${model}`]) {
  const reads: string[] = [];
  const names = createClassNames({
    readLabels: (model) => {
      reads.push(model);
      return readLabels(model);
    },
    readHeadLabels: async () => null,
  });
  return {
    reads,
    /** Asks for the class names of this many models. */
    async ask(count: number): Promise<void> {
      for (let model = 0; model < count; model++) await names.ofModel(String(model), 'v');
    },
    find: (model: number | string, version = 'v') => names.ofModel(String(model), version),
  };
}

test('however many models are asked for, the lists of the last eight are kept', async () => {
  const { reads, ask, find } = start();
  await ask(100);
  expect(reads).toHaveLength(100);
  for (let model = 100 - KEPT; model < 100; model++) expect(await find(model)).toEqual([`of ${model}`]);
  expect(reads).toHaveLength(100);
  expect(await find(100 - KEPT - 1)).toEqual([`of ${100 - KEPT - 1}`]);
  expect(reads).toHaveLength(101);
});

test('however many models are asked for, eight lists stay in memory', async () => {
  const lists = new LiveObjects();
  const { ask, find } = start(async (model) => lists.add([`of ${model}`]));
  await ask(100);
  await expect.poll(() => lists.count()).toBe(KEPT);
  expect(await find(99)).toEqual(['of 99']);
});

test('the list that was used last is evicted last, and each version has a list', async () => {
  const { reads, ask, find } = start();
  await ask(KEPT);
  await find(0);
  await find('another');
  reads.length = 0;
  await find(0);
  expect(reads).toEqual([]);
  await find(1);
  await find(0, 'w');
  expect(reads).toEqual(['1', '0']);
});

test('what is missing or could not be read is read again', async () => {
  let answer: () => Promise<string[] | null> = async () => null;
  const { reads, find } = start(() => answer());
  expect(await find(0)).toBeNull();
  answer = () => Promise.reject(new Error('away'));
  await expect(find(0)).rejects.toThrow('away');
  answer = async () => ['cat'];
  expect(await Promise.all([find(0), find(0)])).toEqual([['cat'], ['cat']]);
  expect(reads).toHaveLength(3);
});
