/** Queue statistics as each caller may see them. They are read once for all callers. */
import type { QueueState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { LatestValueStream, shuttingDown } from './latest-value-stream.ts';
import type { ModelCache } from './model-cache.ts';
import type { ThroughputMeter } from './throughput-meter.ts';

export interface TenantCounts {
  tenant: string;
  waiting: number;
  processing: number;
}

/** A queue with this server's measurements, as a caller may see it. */
export interface QueueStats extends Omit<QueueState, 'tenants' | 'running' | 'imageBytes' | 'deadLetters' | 'ended'> {
  /** For operators: the tenants with work, those with most first. */
  tenants: TenantCounts[] | undefined;
  /** For operators. */
  deadLetters: number | undefined;
  /** For operators. */
  ended: QueueState['ended'] | undefined;
  /** For operators: successes per second over the last seconds. */
  ratePerSecond: number | undefined;
  /** Median milliseconds from acceptance to success of the last predictions. */
  latencyMs: number | undefined;
}

/** Maximum number of tenants in one answer. */
const MAX_TENANTS = 1_000;
/** Watchers get updates at most this often. */
const REPORT_INTERVAL_MS = 1_000;
/** After this many failed reads in a row, the watchers' last state is considered outdated. */
const MAX_FAILED_READINGS = 3;

/** The counts that a caller sees: those of its tenant, or of all tenants. */
export interface Audience {
  tenant: string;
  isOperator: boolean;
  mayUse(model: string): boolean;
}

interface Watched {
  timer: NodeJS.Timeout;
  /** The state that all watchers have, as JSON; undefined: they have different ones. */
  latest: string | undefined;
  failedReadings: number;
  watchers: Set<LatestValueStream<QueueStats>>;
}

interface QueueStatsReaderOptions {
  modelCache: ModelCache;
  throughput: ThroughputMeter;
}

/** Queues as callers see them: one read per second for all who may see the same of a queue. */
export class QueueStatsReader {
  readonly #modelCache: ModelCache;
  readonly #throughput: ThroughputMeter;
  readonly #watched = new Map<string, Watched>();
  #draining = false;

  constructor({ modelCache, throughput }: QueueStatsReaderOptions) {
    this.#modelCache = modelCache;
    this.#throughput = throughput;
  }

  /** @returns null if there is no such model, or none at all */
  async view(name: string | undefined, audience: Audience): Promise<QueueStats | null> {
    const model = await this.#modelCache.findModel(name, audience.mayUse);
    if (model) return this.#read(model.name, audience);
    // Without a worker a model accepts nothing, but its predictions may still wait.
    const isUnserved = name !== undefined && audience.mayUse(name) && (await this.#modelCache.isUnserved(name));
    return isUnserved ? this.#read(name, audience) : null;
  }

  /**
   * Streams the state immediately, then after changes, about once per second. A slow reader gets the newest state.
   * @throws InferqlError MODEL_NOT_FOUND; UNAVAILABLE if the queue cannot be read; both also later
   */
  async watch(name: string | undefined, audience: Audience): Promise<LatestValueStream<QueueStats>> {
    const first = await this.view(name, audience);
    if (!first) throw new InferqlError('MODEL_NOT_FOUND');
    if (this.#draining) throw shuttingDown();
    const key = audience.isOperator ? first.model : `${first.model} ${audience.tenant}`;
    const entry = this.#watched.get(key) ?? this.#startWatching(key, first, audience);
    const { watchers, timer } = entry;
    const stream: LatestValueStream<QueueStats> = new LatestValueStream(() => {
      watchers.delete(stream);
      if (watchers.size > 0) return;
      clearInterval(timer);
      this.#watched.delete(key);
    });
    watchers.add(stream);
    stream.push(first);
    // The others do not know this state yet, and this one must hear if the queue returns to theirs.
    if (JSON.stringify(first) !== entry.latest) entry.latest = undefined;
    return stream;
  }

  /** Ends all watchers with a retryable error. */
  drain(): void {
    this.#draining = true;
    for (const entry of [...this.#watched.values()]) endWatchers(entry, shuttingDown());
  }

  #startWatching(key: string, first: QueueStats, audience: Audience): Watched {
    const entry: Watched = {
      timer: setInterval(() => void this.#report(first.model, audience, entry), REPORT_INTERVAL_MS),
      latest: JSON.stringify(first),
      failedReadings: 0,
      watchers: new Set(),
    };
    this.#watched.set(key, entry);
    return entry;
  }

  async #report(model: string, audience: Audience, entry: Watched): Promise<void> {
    const fail = (failure: InferqlError) => {
      entry.failedReadings += 1;
      if (entry.failedReadings >= MAX_FAILED_READINGS) endWatchers(entry, failure);
    };
    let queue: QueueStats | null;
    try {
      queue = await this.#read(model, audience);
    } catch {
      return fail(new InferqlError('UNAVAILABLE', { retryAfterMs: REPORT_INTERVAL_MS }));
    }
    if (!queue) return fail(new InferqlError('MODEL_NOT_FOUND'));
    entry.failedReadings = 0;
    const text = JSON.stringify(queue);
    if (text === entry.latest) return;
    entry.latest = text;
    for (const watcher of [...entry.watchers]) watcher.push(queue);
  }

  async #read(model: string, audience: Omit<Audience, 'mayUse'>): Promise<QueueStats | null> {
    const queue = await this.#modelCache.readQueue(model);
    if (!queue) return null;
    const { ratePerSecond, latencyMs } = this.#throughput.read(model);
    return audience.isOperator
      ? { ...showAll(queue), ratePerSecond, latencyMs }
      : { ...showOwn(queue, audience.tenant), ratePerSecond: undefined, latencyMs };
  }
}

function endWatchers({ watchers }: Watched, failure: InferqlError): void {
  for (const watcher of [...watchers]) watcher.end(failure);
}

function showAll({
  tenants,
  running,
  imageBytes: _,
  ...queue
}: QueueState): Omit<QueueStats, keyof ReturnType<ThroughputMeter['read']>> {
  const names = [...new Set([...tenants.keys(), ...running.keys()])];
  const counts = names.map((tenant) => ({
    tenant,
    waiting: tenants.get(tenant) ?? 0,
    processing: running.get(tenant) ?? 0,
  }));
  counts.sort((a, b) => b.waiting - a.waiting || b.processing - a.processing || (a.tenant < b.tenant ? -1 : 1));
  return { ...queue, tenants: counts.slice(0, MAX_TENANTS) };
}

/** The queue as if the tenant were alone, so that nothing of it reveals how much others send. */
function showOwn(
  { tenants, running, imageBytes, ...queue }: QueueState,
  tenant: string,
): Omit<QueueStats, keyof ReturnType<ThroughputMeter['read']>> {
  const waiting = tenants.get(tenant) ?? 0;
  const processing = running.get(tenant) ?? 0;
  return {
    ...queue,
    waiting,
    processing,
    queuedBytes: (waiting + processing) * imageBytes,
    tenants: undefined,
    deadLetters: undefined,
    ended: undefined,
  };
}
