/** This server's metrics in Prometheus' text format: predictions, queues, Redis, and the process. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { REDIS_STEP_CHANNEL, type RedisStepMessage } from '@inferql/queue/lua/lua-steps';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ModelCache } from '../predictions/model-cache.ts';
import { PredictionMetrics } from './prediction-metrics.ts';
import { registerQueueGauges } from './queue-gauges.ts';

const STEP_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export interface MetricsOptions {
  modelCache: ModelCache;
  targetWaitMs: number;
  /** Subscriptions that are open on this server. */
  countSubscriptions(): number;
}

export class Metrics {
  readonly predictions: PredictionMetrics;
  readonly #registry = new Registry();
  readonly #readQueues: () => Promise<void>;
  readonly #onStep: (message: unknown) => void;

  constructor({ modelCache, targetWaitMs, countSubscriptions }: MetricsOptions) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.predictions = new PredictionMetrics(this.#registry);
    this.#readQueues = registerQueueGauges(this.#registry, modelCache, targetWaitMs);
    new Gauge({
      name: 'inferql_subscriptions_open',
      help: 'Subscriptions that are open on this server.',
      registers,
      collect() {
        this.set(countSubscriptions());
      },
    });
    const steps = new Histogram({
      name: 'inferql_redis_step_seconds',
      help: 'From sending an atomic step to its answer.',
      labelNames: ['step'],
      buckets: STEP_SECONDS,
      registers,
    });
    this.#onStep = (message) => {
      const { step, durationMs } = message as RedisStepMessage;
      steps.observe({ step }, durationMs / 1_000);
    };
    subscribe(REDIS_STEP_CHANNEL, this.#onStep);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** @throws InferqlError UNAVAILABLE while Redis does not answer */
  async print(): Promise<string> {
    await this.#readQueues();
    return this.#registry.metrics();
  }

  close(): void {
    unsubscribe(REDIS_STEP_CHANNEL, this.#onStep);
    this.#registry.clear();
  }
}
