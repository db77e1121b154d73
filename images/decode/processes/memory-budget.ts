/** Memory that all decoders share. Waiting requests are served in order, urgent ones first. */
export interface MemoryBudget {
  /**
   * Resolves once `bytes` are free; at most the whole budget may be asked for.
   * @returns a function that gives them back; call it once
   * @throws the signal's reason if it aborts before
   */
  reserve(bytes: number, options: { isUrgent: boolean; signal: AbortSignal }): Promise<() => void>;
  usedBytes(): number;
}

interface Waiting {
  bytes: number;
  take(): void;
}

/** A budget of which nothing is used. `reserve` throws RangeError for more than `totalBytes`. */
export function createMemoryBudget(totalBytes: number): MemoryBudget {
  let used = 0;
  const urgent: Waiting[] = [];
  const others: Waiting[] = [];

  function serve(): void {
    for (const queue of [urgent, others]) {
      for (let next = queue[0]; next; next = queue[0]) {
        if (used + next.bytes > totalBytes) return;
        queue.shift();
        used += next.bytes;
        next.take();
      }
    }
  }

  return {
    reserve(bytes, { isUrgent, signal }) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error);
        if (bytes > totalBytes) return reject(new RangeError(`${bytes} of ${totalBytes} bytes`));
        const queue = isUrgent ? urgent : others;
        const release = () => {
          used -= bytes;
          serve();
        };
        const waiting = {
          bytes,
          take() {
            signal.removeEventListener('abort', leave);
            resolve(release);
          },
        };
        const leave = () => {
          queue.splice(queue.indexOf(waiting), 1);
          serve();
          reject(signal.reason as Error);
        };
        signal.addEventListener('abort', leave, { once: true });
        queue.push(waiting);
        serve();
      });
    },
    usedBytes: () => used,
  };
}
