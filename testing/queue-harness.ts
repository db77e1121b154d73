import { randomBytes } from 'node:crypto';
import {
  ANONYMOUS_CALLER,
  isTerminal,
  newPredictionId,
  type PredictionState,
  type ServedModel,
} from '@inferql/queue/contract';
import { createEventChannel } from '@inferql/queue/events';
import { type AdmitRequest, Producer } from '@inferql/queue/producer';
import { connectRedis } from '@inferql/queue/redis-connection';
import { Registry } from '@inferql/queue/registry';

/** A server's side of the queue under a separate prefix: submits images and sees every event. */
export interface QueueHarness {
  prefix: string;
  producer: Producer;
  registry: Registry;
  /** Resolves once the model is announced and its channel is subscribed. */
  model(name: string): Promise<ServedModel>;
  /** Admits an image. Returns its id. @throws if it is not admitted. */
  submit(model: ServedModel, image: Uint8Array, options?: Partial<AdmitRequest>): Promise<string>;
  /** The first state, past or to come, that fits. */
  when(id: string, fits: (state: PredictionState) => boolean): Promise<PredictionState>;
  /** The terminal state. */
  end(id: string): Promise<PredictionState>;
  /** Every received state of the id, in order. */
  heard(id: string): PredictionState[];
  close(): Promise<void>;
}

export function createQueueHarness(redisUrl: string): QueueHarness {
  const prefix = `test-${randomBytes(6).toString('hex')}`;
  const redis = connectRedis(redisUrl, 'request');
  const subscriber = connectRedis(redisUrl, 'subscriber');
  for (const connection of [redis, subscriber]) connection.on('error', () => {});
  const producer = new Producer(redis, { prefix });
  const registry = new Registry(redis, { prefix });
  const states = new Map<string, PredictionState[]>();
  let listeners: (() => void)[] = [];
  const changed = () => {
    const woken = listeners;
    listeners = [];
    for (const wake of woken) wake();
  };
  const nextChange = () => new Promise<void>((resolve) => listeners.push(resolve));
  const opened = new Set<string>();
  const note = (state: PredictionState) => {
    const list = states.get(state.id) ?? [];
    if (list.length > 0 && list.at(-1)!.revision >= state.revision) return;
    list.push(state);
    states.set(state.id, list);
    changed();
  };
  const events = createEventChannel(
    { subscriber, redis, prefix },
    {
      onState: (_id, _revision, parse) => note(parse()),
      onGap: async () => {
        const snapshots = await producer.readMany([...opened]).catch(() => []);
        for (const snapshot of snapshots) if (snapshot) note(snapshot.state);
      },
      onModelsChanged: changed,
    },
  );

  async function when(id: string, fits: (state: PredictionState) => boolean): Promise<PredictionState> {
    for (;;) {
      const found = states.get(id)?.find(fits);
      if (found) return found;
      await nextChange();
    }
  }

  return {
    prefix,
    producer,
    registry,
    async model(name) {
      for (;;) {
        const change = nextChange();
        const models = await registry.models().catch(() => []);
        const model = models.find((one) => one.name === name);
        if (model) {
          await events.subscribe(name);
          return model;
        }
        await change;
      }
    },
    async submit(model, image, options = {}) {
      const id = newPredictionId(model.name);
      opened.add(id);
      const outcome = await producer.admit({
        id,
        model,
        image,
        options: { heatmap: false },
        priority: 'NORMAL',
        timeoutMs: 60_000,
        caller: ANONYMOUS_CALLER,
        share: false,
        cacheTtlMs: 0,
        ...options,
      });
      if (outcome.kind !== 'admitted') throw new Error(outcome.kind);
      note(outcome.state);
      return outcome.state.id;
    },
    when,
    end: (id) => when(id, (state) => isTerminal(state.status)),
    heard: (id) => states.get(id) ?? [],
    async close() {
      await events.close();
      redis.disconnect();
      subscriber.disconnect();
    },
  };
}
