/** Event channel: one Pub/Sub subscription per model, with detection of lost messages. */
import type { PredictionState } from '../contract.ts';
import { InferqlError } from '../error-codes.ts';
import type { RedisConnection } from '../redis/connection.ts';
import { callRedis } from '../redis/errors.ts';
import { accessKeys, modelKeys, registryKeys } from '../redis/keys.ts';
import { parseState } from './prediction-snapshot.ts';

export interface EventListener {
  /** A prediction changed. Call `parse` only for ids that this server waits for; parsing the events of other servers' predictions wastes CPU. */
  onState(id: string, parse: () => PredictionState): void;
  /** Messages may have been lost: read the model's open predictions again. */
  onGap(model: string): void;
  /** A model was registered, changed its version or lost a worker. */
  onModelsChanged(): void;
  /** An API key was created, changed or revoked; undefined: any may have been. */
  onKeyChanged?(id: string | undefined): void;
}

/** After this many audits in a row that find lost messages, the connection is replaced. */
const MAX_MISSED_AUDITS = 2;

/** What was received on a model's channel. */
interface Received {
  model: string;
  /** The last sequence number; undefined before the first. */
  sequence: number | undefined;
  missedAudits: number;
}

interface EventChannelOptions {
  /** A connection of the role 'subscriber', used only here. */
  subscriber: RedisConnection;
  /** A connection of the role 'request', for audits. */
  redis: RedisConnection;
  prefix: string;
}

/** Every new connection subscribes to the channels of the previous one, and reports what may have been lost in between. */
export class EventChannel {
  readonly #subscriber: RedisConnection;
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #modelsChanged: string;
  readonly #keysChanged: string;
  readonly #listener: EventListener;
  /** By channel. */
  readonly #received = new Map<string, Received>();
  readonly #onMessage = (channel: string, message: string) => this.#receive(channel, message);
  #confirmed = false;
  #closed = false;

  constructor({ subscriber, redis, prefix }: EventChannelOptions, listener: EventListener) {
    this.#subscriber = subscriber;
    this.#redis = redis;
    this.#prefix = prefix;
    this.#modelsChanged = registryKeys(prefix).changed;
    this.#keysChanged = accessKeys(prefix).changed;
    this.#listener = listener;
    subscriber.on('message', this.#onMessage);
    subscriber.on('close', () => {
      this.#confirmed = false;
    });
    // The first connection and every later one: subscriptions do not outlive a connection.
    subscriber.on('ready', () => void this.#subscribeAll().catch(() => undefined));
  }

  /** Whether every subscription is confirmed on a live connection. */
  ready(): boolean {
    return this.#confirmed && this.#subscriber.status === 'ready';
  }

  /** Whether the model's channel is already subscribed, so that `subscribe` has nothing to do. */
  isSubscribed(model: string): boolean {
    return this.ready() && this.#received.has(modelKeys(this.#prefix, model).channel);
  }

  /** Resolves once Redis has confirmed the subscription to the model's channel. */
  async subscribe(model: string): Promise<void> {
    const { channel } = modelKeys(this.#prefix, model);
    if (this.#received.has(channel) && this.#confirmed) return;
    await callRedis(async () => {
      await this.#subscriber.subscribe(channel);
    });
    if (!this.#received.has(channel)) this.#received.set(channel, { model, sequence: undefined, missedAudits: 0 });
  }

  async #subscribeAll(): Promise<void> {
    await this.#subscriber.subscribe(this.#modelsChanged, this.#keysChanged, ...this.#received.keys());
    this.#confirmed = true;
    this.#listener.onModelsChanged();
    this.#listener.onKeyChanged?.(undefined);
    for (const received of this.#received.values()) {
      received.sequence = undefined;
      this.#listener.onGap(received.model);
    }
  }

  #receive(channel: string, message: string): void {
    const received = this.#received.get(channel);
    if (received) this.#receiveState(received, message);
    else if (channel === this.#modelsChanged) this.#listener.onModelsChanged();
    else if (channel === this.#keysChanged) this.#listener.onKeyChanged?.(message);
  }

  /** Sequence and id come first and are cheap to read; the state, which comes after its revision, is parsed on demand. */
  #receiveState(received: Received, message: string): void {
    const sequenceEnd = message.indexOf(' ');
    const idEnd = message.indexOf(' ', sequenceEnd + 1);
    const revisionEnd = message.indexOf(' ', idEnd + 1);
    const sequence = Number(message.slice(0, sequenceEnd));
    // The first one on a new subscription does not show what was lost before it.
    const missed = received.sequence === undefined || sequence !== received.sequence + 1;
    received.sequence = sequence;
    received.missedAudits = 0;
    this.#listener.onState(message.slice(sequenceEnd + 1, idEnd), () => parseState(message.slice(revisionEnd + 1)));
    if (missed) this.#listener.onGap(received.model);
  }

  /**
   * Compares the messages received with those published, and calls onGap if they differ: Pub/Sub can lose a message even on a
   * connection that looks alive. Call it every few seconds.
   */
  async audit(): Promise<void> {
    for (const received of [...this.#received.values()]) {
      const before = received.sequence;
      const published = await this.#readSequence(received.model);
      if (published === undefined) continue;
      if (before === undefined) {
        received.sequence ??= published;
        this.#listener.onGap(received.model);
      } else if (received.sequence === before && published !== before) {
        // Nothing arrived meanwhile, though something was published.
        received.sequence = published;
        received.missedAudits += 1;
        this.#listener.onGap(received.model);
        if (received.missedAudits >= MAX_MISSED_AUDITS && !this.#closed) {
          received.missedAudits = 0;
          this.#subscriber.disconnect(true);
        }
      }
    }
  }

  /** The last sequence number of a model; undefined if its key holds something else. The other models are audited all the same. */
  async #readSequence(model: string): Promise<number | undefined> {
    const { counters } = modelKeys(this.#prefix, model);
    try {
      return Number((await callRedis(() => this.#redis.hget(counters, 'sequence'))) ?? 0);
    } catch (error) {
      if (error instanceof InferqlError) throw error;
      return undefined;
    }
  }

  close(): void {
    this.#closed = true;
    this.#subscriber.off('message', this.#onMessage);
    this.#subscriber.disconnect();
  }
}
