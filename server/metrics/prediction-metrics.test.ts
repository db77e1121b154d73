import type { PredictionState } from '@inferql/queue/contract';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { PredictionMetrics } from './prediction-metrics.ts';

test('any number of tenants makes a bounded number of series, and no work is lost from the sum', async () => {
  const registry = new Registry();
  const metrics = new PredictionMetrics(registry);
  const settle = (i: number) =>
    metrics.onSettled({
      id: String(i),
      jobId: String(i),
      revision: 3,
      attempts: 1,
      deadlineMs: 60_000,
      model: 'tiny',
      version: '1',
      tenant: `tenant ${i}`,
      status: 'SUCCEEDED',
      priority: 'NORMAL',
      cached: false,
      createdAtMs: 1_000,
      startedAtMs: 1_100,
      finishedAtMs: 1_200,
      inferenceMs: 100,
      batchSize: 1,
    } satisfies Partial<PredictionState> as PredictionState);
  for (let i = 0; i < 5_000; i++) settle(i);
  // A tenant that has a series keeps it.
  settle(0);
  const { values } = await registry.getSingleMetric('inferql_work_seconds_total')!.get();
  const secondsOf = (tenant: string) => values.find(({ labels }) => labels.tenant === tenant)?.value;
  expect(values).toHaveLength(51);
  expect(secondsOf('tenant 0')).toBeCloseTo(0.2);
  expect(secondsOf('tenant 49')).toBeCloseTo(0.1);
  expect(secondsOf('tenant 50')).toBeUndefined();
  expect(secondsOf('other')).toBeCloseTo(495);
});
