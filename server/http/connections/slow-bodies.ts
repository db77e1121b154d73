/** Closes dead connections but not slow ones: a request's body may take any time if it keeps a minimal rate and never stalls. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatBytes } from '@inferql/settings/format-bytes';
import { answerRaw } from './raw-response.ts';

/** A body is refused if nothing of it arrives for this long. */
export const BODY_SILENCE_MS = 30_000;
/** Minimum bytes per window, which is long enough for the pauses of a bad connection. */
export const BODY_WINDOW_MS = 60_000;
export const MIN_BODY_BYTES_PER_SECOND = 1024;
/** After the answer, the rest of a body is read for this long, so that the client sees the answer. Then the connection is closed. */
const ANSWERED_GRACE_MS = 10_000;
const LOOK_EVERY_MS = 1_000;

interface Limits {
  silenceMs?: number;
  windowMs?: number;
  minBytesPerSecond?: number;
  lookEveryMs?: number;
}

interface Watched {
  request: IncomingMessage;
  response: ServerResponse;
  bytes: number;
  heardAtMs: number;
  windowStartMs: number;
  windowBytes: number;
  answeredAtMs: number | undefined;
}

/** Watches all arriving bodies with one timer. */
export class BodyWatch {
  readonly #limits: Required<Limits>;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;
  #clockMs = 0;
  #lookedAtMs = 0;

  constructor(limits: Limits = {}) {
    this.#limits = {
      silenceMs: BODY_SILENCE_MS,
      windowMs: BODY_WINDOW_MS,
      minBytesPerSecond: MIN_BODY_BYTES_PER_SECOND,
      lookEveryMs: LOOK_EVERY_MS,
      ...limits,
    };
  }

  /** Call it when a request's headers have arrived. A request without a body costs nothing. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) return;
    if (request.complete || request.headers['content-length'] === '0') return;
    if (!this.#timer) this.#lookedAtMs = performance.now();
    const nowMs = this.#readClock();
    const bytes = request.socket.bytesRead;
    this.#watched.add({
      request,
      response,
      bytes,
      heardAtMs: nowMs,
      windowStartMs: nowMs,
      windowBytes: bytes,
      answeredAtMs: undefined,
    });
    this.#timer ??= setInterval(() => this.#look(), this.#limits.lookEveryMs).unref();
  }

  /** A process that was stopped, or was too busy to look, did not hear its clients: that time does not count. */
  #readClock(): number {
    return this.#clockMs + Math.min(performance.now() - this.#lookedAtMs, 2 * this.#limits.lookEveryMs);
  }

  #look(): void {
    const nowMs = this.#readClock();
    this.#clockMs = nowMs;
    this.#lookedAtMs = performance.now();
    for (const entry of this.#watched) this.#check(entry, nowMs);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #check(entry: Watched, nowMs: number): void {
    const { request, response } = entry;
    if (request.complete || request.destroyed || request.socket.destroyed) {
      this.#watched.delete(entry);
      return;
    }
    if (response.writableFinished) {
      entry.answeredAtMs ??= nowMs;
      if (nowMs - entry.answeredAtMs > ANSWERED_GRACE_MS) request.socket.destroy();
      return;
    }
    const { silenceMs, windowMs } = this.#limits;
    const { bytesRead } = request.socket;
    // Unread data is not the client's fault: the decoder is busy, or the disk slow.
    const isOurs = request.readableLength > 0 || request.socket.isPaused();
    if (isOurs || bytesRead > entry.bytes) entry.heardAtMs = nowMs;
    entry.bytes = bytesRead;
    if (nowMs - entry.heardAtMs > silenceMs) {
      refuse(entry, `No data arrived for ${Math.round(silenceMs / 1000)} seconds. Send the request again.`);
    } else if (isOurs) {
      startWindow(entry, nowMs);
    } else if (nowMs - entry.windowStartMs > windowMs) {
      this.#checkRate(entry, nowMs);
      startWindow(entry, nowMs);
    }
  }

  #checkRate(entry: Watched, nowMs: number): void {
    const { minBytesPerSecond } = this.#limits;
    const seconds = (nowMs - entry.windowStartMs) / 1000;
    if (entry.bytes - entry.windowBytes >= seconds * minBytesPerSecond) return;
    refuse(
      entry,
      `The request arrived slower than ${formatBytes(minBytesPerSecond)} per second. Send a smaller image, or use a faster connection.`,
    );
  }
}

function startWindow(entry: Watched, nowMs: number): void {
  entry.windowStartMs = nowMs;
  entry.windowBytes = entry.bytes;
}

function refuse({ request, response }: Watched, message: string): void {
  answerRaw(response, { status: 408, code: 'REQUEST_TIMEOUT', message });
  request.resume();
}
