/** What all clients of a load have seen together. */
import type { GraphqlError } from '@inferql/testing/system/graphql-client';
import type { Sighting } from '../ledger/protocol.ts';
import { type Seen, toSighting } from './load-operations.ts';

const TERMINAL = ['SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED'];
const UNTIL_MS = 120_000;

export class LoadCounts {
  /** Ends seen by clients, by status. */
  readonly ended: Record<string, number> = {};
  /** Refusals by code; the clients retried. */
  readonly refusals: Record<string, number> = {};
  readonly #open = new Set<string>();
  readonly #listeners = new Set<() => void>();
  readonly #onEnd: ((end: Sighting) => unknown) | undefined;
  #foreignReads = 0;
  #failure: { reason: unknown } | undefined;

  /** @param onEnd called when an end is seen for the first time */
  constructor(onEnd: ((end: Sighting) => unknown) | undefined) {
    this.#onEnd = onEnd;
  }

  /** Accepted, and no end seen yet. */
  inFlight(): number {
    return this.#open.size;
  }

  endedCount(): number {
    return Object.values(this.ended).reduce((total, each) => total + each, 0);
  }

  /** How often a tenant asked for another's prediction. */
  foreignReads(): number {
    return this.#foreignReads;
  }

  addAccepted(id: string): void {
    this.#open.add(id);
    this.#notify();
  }

  /** Returns whether the state is the end. */
  addState(seen: Seen): boolean {
    if (!TERMINAL.includes(seen.status)) return false;
    if (this.#open.delete(seen.id)) {
      count(this.ended, seen.status);
      this.#onEnd?.(toSighting(seen));
    }
    this.#notify();
    return true;
  }

  /** @param reason the errors of an answer, or what a connection threw */
  addRefusal(reason: unknown): void {
    const codes = (reason as GraphqlError[] | undefined)?.map?.(({ extensions }) => extensions?.code ?? 'no code');
    for (const code of codes ?? ['connection']) count(this.refusals, code);
    this.#notify();
  }

  addForeignRead(): void {
    this.#foreignReads++;
  }

  /** A client found a fault: every `until` rejects with the first one. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#notify();
  }

  throwFailure(): void {
    if (this.#failure) throw this.#failure.reason;
  }

  describe(): string {
    return JSON.stringify({ inFlight: this.inFlight(), ended: this.ended, refusals: this.refusals });
  }

  /** Resolves once a condition holds; it is checked after each event. @throws after two minutes */
  async until(condition: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        act();
      };
      const look = () => {
        const failure = this.#failure;
        if (failure) settle(() => reject(failure.reason));
        else if (condition()) settle(resolve);
      };
      const timer = setTimeout(
        () => settle(() => reject(new Error(`not within ${UNTIL_MS} ms: ${this.describe()}`))),
        UNTIL_MS,
      );
      this.#listeners.add(look);
      look();
    });
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
