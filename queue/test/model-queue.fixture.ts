import { isTerminal, type PredictionStatus } from '../contract.ts';

/**
 * A model of the queue without Redis. The Lua steps must behave like it, in whatever order servers and workers call them.
 */
interface ModelJob {
  predictions: Set<string>;
  attempts: number;
  owner: number | undefined;
  tenant: string;
  pixel: number;
  shared: boolean;
  caches: boolean;
  /** 0 is the most urgent. */
  lane: number;
  arrival: number;
}

interface Sent {
  id: string;
  tenant: string;
  pixel: number;
  share: boolean;
  caches: boolean;
  lane: number;
  key: string | null;
}

export const MAX_ATTEMPTS = 2;
export const MAX_QUEUE_SIZE = 5;

export class ModelQueue {
  readonly jobs = new Map<string, ModelJob>();
  readonly status = new Map<string, PredictionStatus>();
  readonly owners = new Map<string, string>();
  /** By tenant and pixel. */
  readonly cache = new Set<string>();
  /** By tenant and key. */
  readonly keys = new Map<string, { id: string; pixel: number }>();
  private arrivals = 0;

  /** In the order in which they are to start. */
  waiting(): ModelJob[] {
    return [...this.jobs.values()]
      .filter((job) => job.attempts === 0)
      .sort((a, b) => a.lane - b.lane || a.arrival - b.arrival);
  }

  /** 1 is next. */
  position(id: string): number | undefined {
    const place = this.waiting().findIndex(({ predictions }) => predictions.has(id));
    return place < 0 ? undefined : place + 1;
  }

  /** The prediction's id, or why it was refused. */
  admit({ id, tenant, pixel, share, caches, lane, key }: Sent): string {
    const known = key === null ? undefined : this.keys.get(`${tenant} ${key}`);
    if (known && ['QUEUED', 'PROCESSING', 'SUCCEEDED'].includes(this.status.get(known.id)!)) {
      return known.pixel === pixel ? known.id : 'idempotencyConflict';
    }
    const twin = share ? this.findTwin(tenant, pixel) : undefined;
    const cached = caches && this.cache.has(`${tenant} ${pixel}`);
    if (!cached && !twin && this.waiting().length >= MAX_QUEUE_SIZE) return 'queueFull';
    if (key !== null) this.keys.set(`${tenant} ${key}`, { id, pixel });
    this.owners.set(id, tenant);
    if (cached) {
      this.status.set(id, 'SUCCEEDED');
    } else if (twin) {
      twin.predictions.add(id);
      this.status.set(id, twin.attempts > 0 ? 'PROCESSING' : 'QUEUED');
      if (twin.attempts === 0 && twin.owner === undefined && lane < twin.lane) {
        twin.lane = lane;
        twin.arrival = this.arrivals++;
      }
    } else {
      const arrival = this.arrivals++;
      const predictions = new Set([id]);
      this.jobs.set(id, {
        predictions,
        attempts: 0,
        owner: undefined,
        tenant,
        pixel,
        shared: share,
        caches,
        lane,
        arrival,
      });
      this.status.set(id, 'QUEUED');
    }
    return id;
  }

  private findTwin(tenant: string, pixel: number): ModelJob | undefined {
    return [...this.jobs.values()].find((job) => job.shared && job.tenant === tenant && job.pixel === pixel);
  }

  /** How many jobs of each tenant are in a state, without those that have none. */
  countByTenant(isCounted: (job: ModelJob) => boolean): Map<string, number> {
    const counts = new Map<string, number>();
    for (const job of this.jobs.values()) {
      if (isCounted(job)) counts.set(job.tenant, (counts.get(job.tenant) ?? 0) + 1);
    }
    return counts;
  }

  end(id: string, status: PredictionStatus): void {
    if (isTerminal(this.status.get(id)!)) return;
    this.status.set(id, status);
    for (const [jobId, job] of this.jobs) {
      if (job.predictions.delete(id) && job.predictions.size === 0) this.jobs.delete(jobId);
    }
  }

  endJob(jobId: string, status: PredictionStatus): void {
    for (const id of this.jobs.get(jobId)?.predictions ?? []) this.status.set(id, status);
    this.jobs.delete(jobId);
  }

  start(jobId: string, worker: number): number {
    const job = this.jobs.get(jobId);
    if (job?.owner !== worker) return 0;
    if (job.attempts >= MAX_ATTEMPTS) {
      this.endJob(jobId, 'FAILED');
      return 0;
    }
    job.attempts += 1;
    for (const id of job.predictions) this.status.set(id, 'PROCESSING');
    return job.attempts;
  }

  settle(jobId: string, attempt: number, succeeded: boolean): 'settled' | 'retry' | 'gone' {
    const job = this.jobs.get(jobId);
    if (!job) return 'gone';
    if (succeeded) {
      if (job.caches) this.cache.add(`${job.tenant} ${job.pixel}`);
      this.endJob(jobId, 'SUCCEEDED');
      return 'settled';
    }
    if (job.attempts !== attempt) return 'gone';
    if (attempt < MAX_ATTEMPTS) return 'retry';
    this.endJob(jobId, 'FAILED');
    return 'settled';
  }
}
