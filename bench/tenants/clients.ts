/** Tenants that use the queue directly, as a server does for them, so that HTTP and decoding are not measured. */
import {
  type Caller,
  isTerminal,
  newPredictionId,
  type PredictionState,
  type ServedModel,
} from '@inferql/queue/contract';
import { Registry } from '@inferql/queue/models/registry';
import { EventChannel } from '@inferql/queue/predictions/event-channel';
import { Producer } from '@inferql/queue/predictions/producer';
import { connectRedis } from '@inferql/queue/redis/connection';
import { DEFAULT_PREFIX } from '@inferql/queue/redis/keys';

export type TenantClients = Awaited<ReturnType<typeof openTenantClients>>;

/** @param model a model that the system already serves */
export async function openTenantClients(redisUrl: string, model: string) {
  const redis = connectRedis(redisUrl, 'work');
  const subscriber = connectRedis(redisUrl, 'subscriber');
  const producer = new Producer(redis, { prefix: DEFAULT_PREFIX });
  const registry = new Registry(redis, { prefix: DEFAULT_PREFIX });
  const open = new Map<string, (state: PredictionState) => void>();
  /** Tenants in the order in which their predictions ended. */
  const ended: string[] = [];
  let wake = () => {};
  const note = (state: PredictionState) => {
    const end = open.get(state.id);
    if (!end || !isTerminal(state.status)) return;
    open.delete(state.id);
    ended.push(state.tenant);
    end(state);
    wake();
  };
  const channel = new EventChannel(
    { subscriber, redis, prefix: DEFAULT_PREFIX },
    {
      onState: (id, parse) => open.has(id) && note(parse()),
      onGap: async () => {
        for (const snapshot of await producer.readMany([...open.keys()])) if (snapshot) note(snapshot.state);
      },
      onModelsChanged: () => undefined,
    },
  );
  await channel.subscribe(model);
  const served = (await registry.models()).find(({ name }) => name === model) as ServedModel;
  const image = Buffer.alloc(served.input.width * served.input.height * served.input.channels, 7);

  return {
    ended,

    /** Resolves once this many have ended. */
    async whenEnded(count: number): Promise<void> {
      while (ended.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },

    /** Queues one image; resolves once it is queued, with a promise of its end. */
    async send(caller: Caller): Promise<{ end: Promise<PredictionState> }> {
      const id = newPredictionId(model);
      const end = new Promise<PredictionState>((resolve) => open.set(id, resolve));
      const outcome = await producer.admit({
        id,
        model: served,
        image,
        options: { heatmap: false },
        priority: 'NORMAL',
        timeoutMs: 600_000,
        caller,
        share: false,
        cacheTtlMs: 0,
      });
      if (outcome.kind !== 'admitted') throw new Error(outcome.kind);
      return { end };
    },

    /** Cancels what is still open. */
    async cancelAll(): Promise<void> {
      for (const id of [...open.keys()]) await producer.cancel(id);
    },

    close(): void {
      channel.close();
      redis.disconnect();
    },
  };
}

export const by = (tenant: string, weight = 1, keyId?: string): Caller => ({ tenant, keyId, weight });
