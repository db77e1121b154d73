import { randomBytes } from 'node:crypto';
import { measureKeptBytes } from '@inferql/testing/processes/used-memory';
import { expect, test } from 'vitest';
import { GrowingBuffer } from './growing-buffer.ts';
import { createMemoryBudget, FileStore } from './memory-or-disk-store.ts';

test('chunks of any size are joined', () => {
  const whole = randomBytes(100_000);
  for (const size of [1, 7, 4_096, 65_536, 100_000]) {
    const buffer = new GrowingBuffer(whole.length);
    let added = 0;
    for (let at = 0; at < whole.length; at += size) if (buffer.add(whole.subarray(at, at + size))) added++;
    expect(added).toBe(Math.ceil(whole.length / size));
    expect(buffer.bytes().equals(whole)).toBe(true);
    expect(buffer.add(Buffer.alloc(1))).toBe(false);
    expect(buffer.bytes().equals(whole)).toBe(true);
  }
});

test('it takes from a budget what it allocates, and gives all of it back', () => {
  const budget = createMemoryBudget(10_000);
  const one = new GrowingBuffer(1_000_000, budget);
  expect(one.add(Buffer.alloc(1))).toBe(true);
  expect(budget.heldBytes()).toBe(4_096);
  expect(one.add(Buffer.alloc(5_000))).toBe(true);
  expect(budget.heldBytes()).toBe(8_192);
  expect(one.add(Buffer.alloc(5_000))).toBe(false);
  expect(one.bytes()).toHaveLength(5_001);
  one.trim();
  expect(budget.heldBytes()).toBe(5_001);
  expect(one.bytes().equals(Buffer.alloc(5_001))).toBe(true);
  one.free();
  one.free();
  expect(budget.heldBytes()).toBe(0);
});

test('a first chunk in a larger memory counts with all of it, until it is copied', () => {
  const budget = createMemoryBudget(100_000);
  const buffer = new GrowingBuffer(10_000, budget);
  expect(buffer.add(new Uint8Array(16_000).subarray(0, 9_000))).toBe(true);
  expect(budget.heldBytes()).toBe(16_000);
  expect(buffer.add(Buffer.alloc(100))).toBe(true);
  expect(budget.heldBytes()).toBe(10_000);
  buffer.free();
  expect(budget.heldBytes()).toBe(0);
});

test('memory for an announced length is taken at once, when a good part of it has arrived', () => {
  const budget = createMemoryBudget(1_000_000);
  const whole = randomBytes(100_000);
  const buffer = new GrowingBuffer(1_000_000, budget, 100_500);
  buffer.add(whole.subarray(0, 10_000));
  expect(budget.heldBytes()).toBeLessThan(20_000);
  buffer.add(whole.subarray(10_000, 30_000));
  expect(budget.heldBytes()).toBe(100_500);
  const memory = buffer.bytes().buffer;
  buffer.add(whole.subarray(30_000));
  buffer.trim();
  // Neither grown nor copied.
  expect(buffer.bytes().buffer).toBe(memory);
  expect(buffer.bytes().equals(whole)).toBe(true);
  buffer.free();
  expect(budget.heldBytes()).toBe(0);
});

test('an announced length that is wrong costs no more than a copy', () => {
  const budget = createMemoryBudget(1_000_000);
  const whole = randomBytes(200_000);
  for (const announced of [1, 50_000, 150_000, 1e9, Number.POSITIVE_INFINITY]) {
    const buffer = new GrowingBuffer(300_000, budget, announced);
    for (let at = 0; at < whole.length; at += 40_000) expect(buffer.add(whole.subarray(at, at + 40_000))).toBe(true);
    expect(buffer.bytes().equals(whole)).toBe(true);
    buffer.trim();
    expect(budget.heldBytes()).toBeLessThanOrEqual(225_000);
    buffer.free();
  }
  expect(budget.heldBytes()).toBe(0);
});

test('a file that arrives byte by byte takes the memory of its bytes, as the budget counts it', async () => {
  const budget = createMemoryBudget(10_000_000);
  const keptBytes = measureKeptBytes();
  const stores = Array.from({ length: 4 }, () => new FileStore(budget, '/nowhere'));
  let waits = 0;
  // Parts of large chunks, as a connection delivers them.
  for (const store of stores) {
    for (let i = 0; i < 200_000; i += 10_000) {
      const chunk = Buffer.alloc(60_000);
      for (let at = 0; at < 60_000; at += 6) if (store.write(chunk.subarray(at, at + 1))) waits++;
    }
  }
  expect(waits).toBe(0);
  expect(budget.heldBytes()).toBe(4 * 262_144);
  await expect.poll(keptBytes).toBeLessThan(2 * budget.heldBytes());
  for (const store of stores) store.free();
  expect(budget.heldBytes()).toBe(0);
});
