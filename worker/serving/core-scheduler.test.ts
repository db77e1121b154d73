import { expect, onTestFinished, test, vi } from 'vitest';
import { createCoreScheduler } from './core-scheduler.ts';

test('of two busy models each has half of the time, even if one run of the first takes four times as long', async () => {
  let nowMs = 0;
  const scheduler = createCoreScheduler(() => nowMs);
  const usedMs = { slow: 0, fast: 0 };
  const loop = async (name: 'slow' | 'fast', runMs: number) => {
    let permit = scheduler.take(name);
    while (nowMs < 4_000) {
      const end = await permit;
      nowMs += runMs;
      usedMs[name] += runMs;
      await Promise.resolve();
      permit = scheduler.take(name);
      end();
    }
    (await permit)();
  };
  await Promise.all([loop('slow', 40), loop('fast', 10)]);
  expect(usedMs.slow / (usedMs.slow + usedMs.fast)).toBeCloseTo(0.5, 1);
});

test('a model that was idle for long does not get all of the time afterwards', async () => {
  let nowMs = 0;
  const scheduler = createCoreScheduler(() => nowMs);
  const run = async (name: string) => {
    const end = await scheduler.take(name);
    nowMs += 10;
    end();
  };
  for (let i = 0; i < 100; i++) await run('awake');
  const order: string[] = [];
  const hold = await scheduler.take('other');
  const runs = ['awake', 'slept', 'slept', 'slept', 'awake'].map((name) =>
    scheduler.take(name).then((end) => {
      order.push(name);
      nowMs += 10;
      end();
    }),
  );
  hold();
  await Promise.all(runs);
  expect(order.indexOf('awake')).toBeLessThan(2);
});

test('one run at a time, and an end that is reported twice counts once', async () => {
  const scheduler = createCoreScheduler();
  const end = await scheduler.take('a');
  let second = false;
  const waiting = scheduler.take('b').then((endSecond) => {
    second = true;
    return endSecond;
  });
  await Promise.resolve();
  expect(second).toBe(false);
  end();
  end();
  const endSecond = await waiting;
  expect(second).toBe(true);
  endSecond();
});

test('a run that does not end keeps others from running for ten seconds only', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const scheduler = createCoreScheduler(() => Date.now());
  const endHanging = await scheduler.take('hanging');
  const began: string[] = [];
  const next = ['a', 'b'].map((name) =>
    scheduler.take(name).then((end) => {
      began.push(name);
      return end;
    }),
  );
  await vi.advanceTimersByTimeAsync(9_999);
  expect(began).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(began).toEqual(['a']);
  // It takes nobody else's turn when it ends after all.
  endHanging();
  await vi.advanceTimersByTimeAsync(1);
  expect(began).toEqual(['a']);
  (await next[0]!)();
  (await next[1]!)();
  expect(vi.getTimerCount()).toBe(0);
});
