/**
 * The jobs of one model version that one worker holds: it has claimed them, and they have neither ended nor been given up. The worker
 * must extend their leases, and must not finish draining while it holds any.
 */
import type { ClaimedJob } from './stream-entry.ts';

/** Identifies a claimed job by its entry. */
export type JobEntry = Pick<ClaimedJob, 'stream' | 'entryId'>;

/** Entry ids are unique per stream only: two lanes give the same id to jobs that arrive in the same millisecond. */
const nameEntry = ({ stream, entryId }: JobEntry) => `${stream} ${entryId}`;

export class HeldJobs {
  /** By name, each with the latest attempt known here. */
  readonly #jobs = new Map<string, { entry: JobEntry; attempt: number }>();
  #onRemoved: () => void = () => undefined;

  get size(): number {
    return this.#jobs.size;
  }

  /** All held jobs, the longest held first. */
  entries(): JobEntry[] {
    return [...this.#jobs.values()].map(({ entry }) => entry);
  }

  has(job: JobEntry): boolean {
    return this.#jobs.has(nameEntry(job));
  }

  /** Adds jobs, and returns those that were not held before: a late reply may contain jobs that have been redelivered since. */
  add<Job extends JobEntry>(jobs: readonly Job[]): Job[] {
    const fresh = jobs.filter((job) => !this.has(job));
    for (const { stream, entryId } of fresh) this.noteAttempt({ stream, entryId }, 0);
    return fresh;
  }

  /** The latest attempt of the job that this worker knows of; 0 before the first. */
  attemptOf(job: JobEntry): number {
    return this.#jobs.get(nameEntry(job))?.attempt ?? 0;
  }

  noteAttempt({ stream, entryId }: JobEntry, attempt: number): void {
    this.#jobs.set(nameEntry({ stream, entryId }), { entry: { stream, entryId }, attempt });
  }

  remove(jobs: readonly JobEntry[]): void {
    for (const job of jobs) this.#jobs.delete(nameEntry(job));
    this.#onRemoved();
  }

  /** Calls the only listener after each removal. */
  onRemoved(listener: () => void): void {
    this.#onRemoved = listener;
  }
}
