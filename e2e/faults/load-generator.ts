/** Clients that send pictures and follow their predictions, while a test causes faults. */
import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import type { Ledger } from '../ledger/client.ts';
import type { Sighting } from '../ledger/protocol.ts';
import { LoadClient, SharedSockets } from './load-client.ts';
import { LoadCounts } from './load-counts.ts';

const FINISH_MS = 240_000;

export interface LoadOptions {
  /** Servers that clients choose from, as behind a load balancer: a client that is refused goes to the next one. */
  urls: string[];
  ledger: Ledger;
  /** The number of clients, each with one prediction in flight at a time. */
  clients: number;
  /** API keys, one tenant each: clients use them round-robin, and ask for some predictions with another tenant's key. @default none */
  keys?: string[];
  /** Some clients cancel, and some set a timeout that is too short. @default true */
  mixed?: boolean;
  /** The nth picture. @default makePicture */
  picture?: (n: number) => Uint8Array;
  /** The class that the nth picture must get. @default expectedClass */
  expected?: (n: number) => number | undefined;
  /** Called when an end is seen for the first time. */
  onEnd?: (end: Sighting) => unknown;
}

/** Starts to send pictures, each a new one, and follows each prediction to its end. */
export function startLoad(options: LoadOptions): Load {
  return new Load(options);
}

export class Load {
  readonly #counts: LoadCounts;
  readonly #sockets = new SharedSockets();
  readonly #running: Promise<void>[];
  #pictures = 0;
  #isStopped = false;

  constructor(options: LoadOptions) {
    const { keys = [], mixed = true, picture = makePicture, expected = expectedClass } = options;
    this.#counts = new LoadCounts(options.onEnd);
    const plan = { ...options, keys, mixed, picture, expected, counts: this.#counts, sockets: this.#sockets };
    this.#running = Array.from({ length: options.clients }, (_, number) => this.#run(new LoadClient(plan, number)));
  }

  /** Ends seen by clients, by status. */
  get ended(): Record<string, number> {
    return this.#counts.ended;
  }

  /** Refusals by code; the clients retried. */
  get refusals(): Record<string, number> {
    return this.#counts.refusals;
  }

  /** Accepted, and no end seen yet. */
  inFlight(): number {
    return this.#counts.inFlight();
  }

  /** How often a tenant asked for another's prediction. */
  foreignReads(): number {
    return this.#counts.foreignReads();
  }

  /** Resolves once a condition holds; it is checked after each event. @throws after two minutes */
  until(condition: () => boolean): Promise<void> {
    return this.#counts.until(condition);
  }

  /** Resolves once this many more predictions have ended. */
  async more(wanted: number): Promise<void> {
    const goal = this.#counts.endedCount() + wanted;
    await this.until(() => this.#counts.endedCount() >= goal);
  }

  /** Starts nothing new; resolves once every client has seen the end of its last prediction. @throws after four minutes */
  async finish(): Promise<void> {
    this.#isStopped = true;
    const late = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`clients still wait: ${this.#counts.describe()}`)), FINISH_MS).unref();
    });
    await Promise.race([Promise.all(this.#running), late]);
    await this.#sockets.close();
    this.#counts.throwFailure();
  }

  async #run(client: LoadClient): Promise<void> {
    try {
      while (!this.#isStopped) await client.predict(this.#pictures++);
    } catch (error) {
      this.#counts.fail(error);
    }
  }
}
