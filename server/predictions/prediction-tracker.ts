/** Follows the open predictions that this server has listeners for. */
import { isTerminal, modelOfPrediction, type PredictionState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { EXPIRE_BATCH_SIZE } from '@inferql/queue/lua/lua-steps';
import type { EventChannel, EventListener } from '@inferql/queue/predictions/event-channel';
import type { Producer } from '@inferql/queue/predictions/producer';
import type { ReportUnreadable } from '@inferql/queue/redis/unreadable-records';
import { MAX_TIMER_MS } from '@inferql/settings/value-types';
import type { Logger } from 'pino';
import { PositionUpdates } from './position-updates.ts';
import type { PredictionListener } from './prediction-listener.ts';

interface OpenPrediction {
  id: string;
  latest: PredictionState | undefined;
  position: number | undefined;
  listeners: Set<PredictionListener>;
}

interface OpenModel {
  open: Map<string, OpenPrediction>;
  deadline: { timer: NodeJS.Timeout; atMs: number } | undefined;
  /** True while the model's open predictions still have to be read again. */
  stale: boolean;
  reading: boolean;
  positions: PositionUpdates;
}

/** Maximum time that a caller waits for the subscription to the model's channel, in milliseconds. */
const SUBSCRIBE_LIMIT_MS = 2_000;
/** States are read again in batches of this size. */
const READ_BATCH_SIZE = 500;
/** An overdue prediction that no step has ended yet is checked again after this. */
const OVERDUE_RETRY_MS = 250;

export interface PredictionTrackerOptions {
  producer: Producer;
  /** Creates the event channel that reports to the listener. */
  openChannel: (listener: EventListener) => EventChannel;
  /** Rejects with UNAVAILABLE at once while Redis is gone. */
  probe(): Promise<unknown>;
  onModelsChanged(): void;
  /** A state that another release wrote. */
  reportUnreadable: ReportUnreadable;
  /** Called for every event of every prediction, including other servers'. */
  onEvent(model: string, parse: () => PredictionState): void;
  positionIntervalMs: number;
  auditIntervalMs: number;
  log: Logger;
}

/**
 * Owns what this server knows about open predictions: it takes events from the channel, and gives listeners each newer state in order.
 * It reads states again if messages may have been lost: on a sequence gap, on a reconnect, and in the audit.
 */
export class PredictionTracker {
  readonly #options: PredictionTrackerOptions;
  readonly #models = new Map<string, OpenModel>();
  readonly #channel: EventChannel;
  readonly #auditTimer: NodeJS.Timeout;
  #draining = false;

  constructor(options: PredictionTrackerOptions) {
    this.#options = options;
    this.#channel = options.openChannel({
      onState: (id, parse) => this.#onState(id, parse),
      onGap: (model) => void this.#readAgain(model),
      onModelsChanged: options.onModelsChanged,
    });
    this.#auditTimer = setInterval(() => this.#audit(), options.auditIntervalMs);
    this.#auditTimer.unref();
  }

  /** Resolves once the model's channel is subscribed; call it before a job is queued. Rejects with UNAVAILABLE after a short time. */
  async subscribe(model: string): Promise<void> {
    if (this.#channel.isSubscribed(model)) return;
    // A subscription waits for Redis to come back; a caller does not.
    if (!this.#channel.ready()) await this.#options.probe();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 })), SUBSCRIBE_LIMIT_MS);
    });
    try {
      await Promise.race([this.#channel.subscribe(model), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether events are received. */
  ready(): boolean {
    return this.#channel.ready();
  }

  /** Takes a state from any source; states older than the known one are dropped. */
  offer(state: PredictionState, position?: number): void {
    const model = this.#models.get(state.model);
    const entry = model?.open.get(state.id);
    if (!model || !entry) return;
    const newer = entry.latest === undefined || isNewer(state, entry.latest);
    const moved = state.revision === entry.latest?.revision && position !== undefined && position !== entry.position;
    if (!newer && !moved) return;
    entry.latest = state;
    entry.position = state.status === 'QUEUED' ? position : undefined;
    if (newer && !isTerminal(state.status)) this.#armDeadline(state.model, model, state.deadlineMs);
    for (const listener of [...entry.listeners]) listener.onState(state, entry.position);
  }

  /** Registers a listener. Call it before the prediction is admitted or read. The listener does not get earlier states. */
  addListener(id: string, listener: PredictionListener): void {
    const name = modelOfPrediction(id);
    if (!name) throw new InferqlError('NOT_FOUND');
    const model = this.#modelOf(name);
    let entry = model.open.get(id);
    if (!entry) {
      entry = { id, latest: undefined, position: undefined, listeners: new Set() };
      model.open.set(id, entry);
    }
    const { listeners } = entry;
    listeners.add(listener);
    // A listener that registers while the server shuts down, for example after a slow upload, is notified as soon as it can react.
    if (this.#draining) queueMicrotask(() => listeners.has(listener) && listener.onDrain());
  }

  removeListener(id: string, listener: PredictionListener): void {
    const entry = this.#findEntry(id);
    if (entry?.listeners.delete(listener) && entry.listeners.size === 0)
      this.#models.get(modelOfPrediction(id)!)!.open.delete(id);
  }

  /** The newest known state of an open prediction. */
  latest(id: string): PredictionState | undefined {
    return this.#findEntry(id)?.latest;
  }

  /** How many listeners a prediction has on this server. */
  countListeners(id: string): number {
    return this.#findEntry(id)?.listeners.size ?? 0;
  }

  /** Notifies every listener that the server shuts down. */
  drain(): void {
    this.#draining = true;
    for (const { open } of this.#models.values()) {
      for (const { listeners } of [...open.values()]) for (const listener of [...listeners]) listener.onDrain();
    }
  }

  close(): void {
    clearInterval(this.#auditTimer);
    for (const model of this.#models.values()) {
      if (model.deadline) clearTimeout(model.deadline.timer);
      model.positions.close();
    }
    this.#channel.close();
  }

  #modelOf(name: string): OpenModel {
    let model = this.#models.get(name);
    if (!model) {
      model = {
        open: new Map(),
        deadline: undefined,
        stale: false,
        reading: false,
        positions: new PositionUpdates(this.#options.positionIntervalMs, () => this.#readPositions(name)),
      };
      this.#models.set(name, model);
    }
    return model;
  }

  #findEntry(id: string): OpenPrediction | undefined {
    const model = modelOfPrediction(id);
    return model ? this.#models.get(model)?.open.get(id) : undefined;
  }

  /** An event of the channel. */
  #onState(id: string, parse: () => PredictionState): void {
    const model = modelOfPrediction(id);
    if (!model) return;
    let state: PredictionState | undefined;
    const parseOnce = () => {
      state ??= parse();
      return state;
    };
    const entry = this.#models.get(model)?.open.get(id);
    try {
      if (entry) this.offer(parseOnce());
      this.#options.onEvent(model, parseOnce);
    } catch (error) {
      // Another release may publish what this one cannot read. An error thrown in a listener would end the process.
      this.#options.reportUnreadable(`a state on the channel of model ${model}`, error);
    }
    const watched = this.#models.get(model);
    if (watched && watched.open.size > 0) watched.positions.queueMoved();
  }

  #audit(): void {
    this.#channel
      .audit()
      .catch((error) => this.#options.log.debug({ err: error }, 'audit postponed; Redis unavailable'));
    for (const [model, { stale }] of this.#models) if (stale) void this.#readAgain(model);
  }

  async #readAgain(name: string): Promise<void> {
    const model = this.#modelOf(name);
    model.stale = true;
    if (model.reading) return;
    model.reading = true;
    try {
      while (model.stale) {
        model.stale = false;
        await this.#readIds([...model.open.keys()]);
      }
    } catch (error) {
      model.stale = true;
      this.#options.log.debug({ err: error, model: name }, 'could not read open predictions; retrying');
    } finally {
      model.reading = false;
    }
  }

  async #readIds(ids: string[]): Promise<void> {
    for (let from = 0; from < ids.length; from += READ_BATCH_SIZE) {
      const piece = ids.slice(from, from + READ_BATCH_SIZE);
      // Only those known before the read: a prediction that is admitted meanwhile is not lost.
      const known = piece.map((id) => this.latest(id) !== undefined);
      const snapshots = await this.#options.producer.readMany(piece);
      snapshots.forEach((snapshot, i) => {
        if (snapshot === undefined) return;
        if (snapshot) this.offer(snapshot.state, snapshot.position);
        else if (known[i]) for (const listener of [...(this.#findEntry(piece[i]!)?.listeners ?? [])]) listener.onLost();
      });
    }
  }

  /**
   * One timer per model, for its earliest deadline: the step that it runs ends all that are due. Deadlines are by Redis' clock: if this
   * machine's differs, the step finds nothing due yet, or the queue sweeper has ended them within a second.
   */
  #armDeadline(name: string, model: OpenModel, atMs: number): void {
    if (model.deadline && model.deadline.atMs <= atMs) return;
    if (model.deadline) clearTimeout(model.deadline.timer);
    const timer = setTimeout(
      () => void this.#endOverdue(name, model),
      Math.min(MAX_TIMER_MS, Math.max(0, atMs - Date.now()) + 1),
    );
    timer.unref();
    model.deadline = { timer, atMs };
  }

  async #endOverdue(name: string, model: OpenModel): Promise<void> {
    try {
      while ((await this.#options.producer.expireDue(name)) === EXPIRE_BATCH_SIZE);
    } catch (error) {
      this.#options.log.debug({ err: error, model: name }, 'deadline sweep failed; retrying');
    }
    model.deadline = undefined;
    let next = Number.POSITIVE_INFINITY;
    for (const { latest } of model.open.values()) {
      if (latest && !isTerminal(latest.status)) next = Math.min(next, latest.deadlineMs);
    }
    if (next < Number.POSITIVE_INFINITY) this.#armDeadline(name, model, Math.max(next, Date.now() + OVERDUE_RETRY_MS));
  }

  /** Reads the positions of the waiting predictions that are watched with them. @returns how many */
  async #readPositions(name: string): Promise<number> {
    const waiting = [...this.#modelOf(name).open.values()].filter(
      ({ latest, listeners }) =>
        latest?.status === 'QUEUED' && [...listeners].some(({ wantsPositions }) => wantsPositions),
    );
    await this.#readIds(waiting.map(({ id }) => id)).catch((error) =>
      this.#options.log.debug({ err: error }, 'queue positions unavailable'),
    );
    return waiting.length;
  }
}

/**
 * Whether a state replaces the known one. A Redis that lost its last writes, in a failover or a crash, counts revisions again, so an end
 * may have the revision of a state before it.
 */
function isNewer(state: PredictionState, known: PredictionState): boolean {
  return !isTerminal(known.status) && (isTerminal(state.status) || state.revision > known.revision);
}
