import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { createMemoryBudget, FileStore } from './memory-or-disk-store.ts';

test('what arrives after a file was freed takes no memory', async () => {
  const memory = createMemoryBudget(1_000_000);
  const store = new FileStore(memory, tmpdir());
  store.write(Buffer.alloc(5_000));
  store.free();
  expect(store.write(Buffer.alloc(5_000))).toBeUndefined();
  store.end();
  expect(memory.heldBytes()).toBe(0);
  await expect(store.readBytes()).rejects.toThrow('released before');
});

test('memory beyond the bytes of a whole file is given back', () => {
  const memory = createMemoryBudget(1_000_000);
  const store = new FileStore(memory, tmpdir());
  store.write(Buffer.alloc(100));
  store.end();
  expect(memory.heldBytes()).toBe(100);
});
