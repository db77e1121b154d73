/** Event channel: one Pub/Sub subscription per model, with detection of lost messages. */
import type { PredictionState } from './contract.ts';
import { InferqlError } from './errors.ts';
import { accessKeys, modelKeys, registryKeys } from './keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import { callRedis } from './redis-errors.ts';
import { parseState } from './snapshot.ts';

export interface EventListener {
  /** A prediction changed. Listeners call `parse` only for ids that they wait for: parsing other servers' events is not worth it. */
  onState(id: string, revision: number, parse: () => PredictionState): void;
  /** Messages may have been lost: read the model's open predictions again. */
  onGap(model: string): void;
  /** A model was registered, changed its version or lost a worker. */
  onModelsChanged(): void;
  /** An API key was created, changed or revoked; undefined: any may have been. */
  onKeyChanged?(id: string | undefined): void;
}

export type EventChannel = ReturnType<typeof createEventChannel>;

/** After this many audits in a row that find lost messages, the connection is replaced. */
const MAX_MISSED_AUDITS = 2;

/**
 * @param subscriber a connection of the role 'subscriber', used only here
 * @param redis a connection of the role 'request', for audits
 */
export function createEventChannel(
  { subscriber, redis, prefix }: { subscriber: RedisConnection; redis: RedisConnection; prefix: string },
  listener: EventListener,
) {
  const registry = registryKeys(prefix);
  const access = accessKeys(prefix);
  /** By channel: the model and the last sequence number received; undefined before the first. */
  const channels = new Map<string, { model: string; sequence: number | undefined; missedAudits: number }>();
  let confirmed = false;
  let closed = false;

  async function subscribeAll(): Promise<void> {
    await subscriber.subscribe(registry.changed, access.changed, ...channels.keys());
    confirmed = true;
    listener.onModelsChanged();
    listener.onKeyChanged?.(undefined);
    for (const heard of channels.values()) {
      heard.sequence = undefined;
      listener.onGap(heard.model);
    }
  }

  /** Sequence, id and revision come first and are cheap to read; the state behind them is parsed on demand. */
  function onMessage(channel: string, message: string): void {
    if (channel === registry.changed) {
      listener.onModelsChanged();
      return;
    }
    if (channel === access.changed) {
      listener.onKeyChanged?.(message);
      return;
    }
    const heard = channels.get(channel);
    if (!heard) return;
    const [sequenceEnd, idEnd] = [message.indexOf(' '), message.indexOf(' ', message.indexOf(' ') + 1)];
    const revisionEnd = message.indexOf(' ', idEnd + 1);
    const sequence = Number(message.slice(0, sequenceEnd));
    // The first one on a new subscription does not show what was lost before it.
    const missed = heard.sequence === undefined || sequence !== heard.sequence + 1;
    heard.sequence = sequence;
    heard.missedAudits = 0;
    listener.onState(message.slice(sequenceEnd + 1, idEnd), Number(message.slice(idEnd + 1, revisionEnd)), () =>
      parseState(JSON.parse(message.slice(revisionEnd + 1)) as string[]),
    );
    if (missed) listener.onGap(heard.model);
  }

  subscriber.on('message', onMessage);
  subscriber.on('close', () => {
    confirmed = false;
  });
  // The first connection and every later one: subscriptions do not outlive a connection.
  subscriber.on('ready', () => void subscribeAll().catch(() => undefined));

  const isReady = () => confirmed && subscriber.status === 'ready';

  return {
    /** Whether the model's channel is subscribed now: then `subscribe` has nothing to do. */
    isSubscribed: (model: string): boolean => isReady() && channels.has(modelKeys(prefix, model).channel),

    /** Resolves once Redis has confirmed the subscription to the model's channel. */
    async subscribe(model: string): Promise<void> {
      const { channel } = modelKeys(prefix, model);
      if (channels.has(channel) && confirmed) return;
      await callRedis(async () => {
        await subscriber.subscribe(channel);
      });
      if (!channels.has(channel)) channels.set(channel, { model, sequence: undefined, missedAudits: 0 });
    },

    /** Whether every subscription is confirmed on a live connection. */
    ready: isReady,

    /**
     * Compares the messages received with those published, and calls onGap if they differ: Pub/Sub can lose a message even on a
     * connection that looks alive. Call it every few seconds.
     */
    async audit(): Promise<void> {
      for (const heard of [...channels.values()]) {
        const { counters } = modelKeys(prefix, heard.model);
        const before = heard.sequence;
        const said = await callRedis(() => redis.hget(counters, 'sequence')).then(
          (text) => Number(text ?? 0),
          (error) => {
            if (error instanceof InferqlError) throw error;
            // That model's key holds something else. The other models are audited all the same.
            return undefined;
          },
        );
        if (said === undefined) continue;
        if (before === undefined) {
          heard.sequence ??= said;
          listener.onGap(heard.model);
        } else if (heard.sequence === before && said !== before) {
          // Nothing arrived meanwhile, though something was published.
          heard.sequence = said;
          heard.missedAudits += 1;
          listener.onGap(heard.model);
          if (heard.missedAudits >= MAX_MISSED_AUDITS && !closed) {
            heard.missedAudits = 0;
            subscriber.disconnect(true);
          }
        }
      }
    },

    close(): void {
      closed = true;
      subscriber.off('message', onMessage);
      subscriber.disconnect();
    },
  };
}
