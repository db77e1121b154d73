import { randomBytes } from 'node:crypto';
import {
  ANONYMOUS_CALLER,
  isTerminal,
  newPredictionId,
  type PredictionState,
  type ServedModel,
} from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { EventChannel } from '@inferql/queue/event-channel';
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
  /** Resolves with what is read of the registry once it fits. Reads again when a model is registered, changed or named the default. */
  untilRegistry<Read>(read: (registry: Registry) => Promise<Read>, fits: (read: Read) => boolean): Promise<Read>;
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
  let isClosed = false;
  /** The connection refuses at once until it is ready, when it opens and again after an outage. @returns undefined once closed */
  async function untilRead<Read>(read: () => Promise<Read>): Promise<Read | undefined> {
    while (!isClosed) {
      try {
        return await read();
      } catch (error) {
        if (!(error instanceof InferqlError) || error.code !== 'UNAVAILABLE') throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    return undefined;
  }
  const note = (state: PredictionState) => {
    const list = states.get(state.id) ?? [];
    if (list.length > 0 && list.at(-1)!.revision >= state.revision) return;
    list.push(state);
    states.set(state.id, list);
    changed();
  };
  const events = new EventChannel(
    { subscriber, redis, prefix },
    {
      onState: (_id, _revision, parse) => note(parse()),
      onGap: async () => {
        const snapshots = await untilRead(() => producer.readMany([...opened]));
        for (const snapshot of snapshots ?? []) if (snapshot) note(snapshot.state);
      },
      onModelsChanged: changed,
    },
  );

  async function untilRegistry<Read>(
    read: (registry: Registry) => Promise<Read>,
    fits: (read: Read) => boolean,
  ): Promise<Read> {
    for (;;) {
      // Before the read: a change between its reply and the wait would be lost.
      const change = nextChange();
      const found = await untilRead(() => read(registry));
      if (isClosed) throw new Error('the queue was closed before what was read fitted');
      if (fits(found as Read)) return found as Read;
      await change;
    }
  }

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
    untilRegistry,
    async model(name) {
      const models = await untilRegistry(
        () => registry.models(),
        (all) => all.some((one) => one.name === name),
      );
      await events.subscribe(name);
      return models.find((one) => one.name === name)!;
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
      isClosed = true;
      await events.close();
      redis.disconnect();
      subscriber.disconnect();
    },
  };
}
