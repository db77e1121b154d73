/** Bounds what one WebSocket has in progress: its client may send as fast as it likes, and need not read the answers. */
import type { RawData, WebSocket } from 'ws';

/** Messages of one connection that are handled at the same time. A subscription no longer counts once it is open. */
export const MAX_MESSAGES_AT_ONCE = 16;
/** With more unsent bytes than this, no further message is handled and no further result is written. */
export const MAX_UNSENT_BYTES = 1024 * 1024;
/** Then other connections get their turn. */
const MAX_TURN_MS = 5;

/**
 * Handles a connection's messages in order, a few at a time, and stops reading from the connection while others wait. A result is
 * written only when little enough is unsent; a slow reader of a subscription skips intermediate states.
 */
export class SocketLimits {
  readonly #socket: WebSocket;
  readonly #handleMessage: (text: string) => Promise<void>;
  readonly #waiting: RawData[] = [];
  #atOnce = 0;
  #releaseCurrent: (() => void) | undefined;
  #turnStartedMs: number | undefined;
  /** Results pass one by one, so that each sees what the previous one left unsent. */
  #lastResult: Promise<void> = Promise.resolve();
  #letPass: (() => void) | undefined;

  /** @param handleMessage must not reject */
  constructor(socket: WebSocket, handleMessage: (text: string) => Promise<void>) {
    this.#socket = socket;
    this.#handleMessage = handleMessage;
  }

  /** Whether the connection is not read because earlier messages are in progress. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Takes a message that was received. After a mistake, while the connection closes, it is dropped. */
  receive(message: RawData): void {
    if (!this.#isOpen()) return;
    this.#waiting.push(message);
    this.#handleWaiting();
    if (this.isWaiting) this.#socket.pause();
  }

  /**
   * Call it synchronously from the handler of a message.
   * @returns lets others begin in the place of this message, which continues for as long as its subscription
   */
  takeRelease(): () => void {
    return this.#releaseCurrent ?? (() => undefined);
  }

  /** Resolves when a result may be written. The caller writes it in the continuation of this promise. */
  awaitRoom(): Promise<void> {
    this.#lastResult = this.#lastResult.then(() => {
      if (this.#hasRoom() || !this.#isOpen()) return undefined;
      return new Promise<void>((resolve) => {
        this.#letPass = resolve;
      });
    });
    return this.#lastResult;
  }

  /** Call it when bytes have been sent, or the connection was closed. */
  goOn(): void {
    if (this.#isOpen() && !this.#hasRoom()) return;
    this.#letPass?.();
    this.#letPass = undefined;
    this.#handleWaiting();
  }

  #isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  #hasRoom(): boolean {
    return this.#socket.bufferedAmount < MAX_UNSENT_BYTES;
  }

  #handleWaiting(): void {
    if (!this.#isOpen()) this.#waiting.length = 0;
    while (this.isWaiting && this.#atOnce < MAX_MESSAGES_AT_ONCE && this.#hasRoom() && this.#hasTurn()) {
      this.#begin(this.#waiting.shift()!);
      if (!this.#isOpen()) this.#waiting.length = 0;
    }
    if (!this.isWaiting && this.#socket.isPaused) this.#socket.resume();
  }

  /** False once this connection has had its time in this turn of the event loop; the rest follows in the next one. */
  #hasTurn(): boolean {
    if (this.#turnStartedMs !== undefined) return performance.now() - this.#turnStartedMs < MAX_TURN_MS;
    this.#turnStartedMs = performance.now();
    setImmediate(() => {
      this.#turnStartedMs = undefined;
      this.#handleWaiting();
    });
    return true;
  }

  #begin(message: RawData): void {
    this.#atOnce++;
    let isCounted = true;
    const release = () => {
      if (!isCounted) return;
      isCounted = false;
      this.#atOnce--;
      this.#handleWaiting();
    };
    this.#releaseCurrent = release;
    void this.#handleMessage(String(message)).then(release);
    this.#releaseCurrent = undefined;
  }
}
