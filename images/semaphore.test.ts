import { expect, test } from 'vitest';
import { createSemaphore } from './semaphore.ts';

/** Never aborts; one per task, as a request has one. */
const forever = () => new AbortController().signal;

/** Tasks that the test ends, and the order in which they began. */
function start(limit: number) {
  const run = createSemaphore(limit);
  const began: string[] = [];
  const ends: (() => void)[] = [];
  const add = (group: string, name: string, signal = forever()) =>
    run(
      signal,
      async () => {
        began.push(name);
        await new Promise<void>((resolve) => ends.push(resolve));
      },
      group,
    );
  async function endOne(): Promise<void> {
    const count = began.length;
    ends.shift()!();
    await expect.poll(() => began.length).toBe(count + 1);
  }
  return { add, began, ends, endOne, run };
}

test('as many run at once as may, and groups alternate, each with its oldest', async () => {
  const { add, began, ends, endOne } = start(2);
  const tasks = [
    ...['a1', 'a2', 'a3', 'a4', 'a5'].map((name) => add('a', name)),
    ...['b1', 'b2'].map((name) => add('b', name)),
    add('c', 'c1'),
  ];
  await expect.poll(() => began).toEqual(['a1', 'a2']);
  while (began.length < tasks.length) await endOne();
  expect(began).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'b2', 'a5']);
  for (const end of ends) end();
  await Promise.all(tasks);
});

test('a task that leaves while it waits takes nobody’s place, and does not leave its group behind', async () => {
  const { add, began, ends, endOne } = start(1);
  const first = add('a', 'a1');
  await expect.poll(() => began).toEqual(['a1']);
  const gone = new AbortController();
  const left = add('b', 'b1', gone.signal);
  const last = add('c', 'c1');
  gone.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  await endOne();
  expect(began).toEqual(['a1', 'c1']);
  for (const end of ends) end();
  await Promise.all([first, last]);
});

test('a task whose caller has left does not run; one that runs does not lose its place if its caller leaves', async () => {
  const { add, began, ends, endOne } = start(1);
  await expect(add('a', 'a1', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  const leaving = new AbortController();
  const tasks = [add('a', 'a2'), add('a', 'a3', leaving.signal), add('a', 'a4'), add('a', 'a5')];
  await expect.poll(() => began).toEqual(['a2']);
  await endOne();
  leaving.abort(new Error('gone'));
  const last = add('b', 'b1');
  expect(began).toEqual(['a2', 'a3']);
  for (let i = 0; i < 3; i++) await endOne();
  expect([...began].sort()).toEqual(['a2', 'a3', 'a4', 'a5', 'b1']);
  for (const end of ends) end();
  await Promise.all([...tasks, last]);
});

test('a task that fails frees its place', async () => {
  const { run } = start(1);
  await expect(run(forever(), async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await run(forever(), async () => 'yes')).toBe('yes');
});
