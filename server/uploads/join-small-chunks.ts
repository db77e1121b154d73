/** A larger chunk costs less than copying it. */
const SMALL_BYTES = 1024;
const JOINED_BYTES = 16 * 1024;

/**
 * Joins small chunks that arrive in one step of the event loop. What parses a stream may keep each chunk, and a request that is sent in
 * HTTP chunks of one byte has thousands of them in each packet.
 * @param pass gets the chunks, joined or as they are, in order
 */
export function joinSmallChunks(pass: (chunk: Buffer) => void) {
  let memory: Buffer | undefined;
  let length = 0;
  let timer: NodeJS.Immediate | undefined;

  function flush(): void {
    if (timer) clearImmediate(timer);
    timer = undefined;
    if (length === 0) return;
    const joined = Buffer.from(memory!.subarray(0, length));
    length = 0;
    pass(joined);
  }

  return {
    write(chunk: Buffer): void {
      if (chunk.length >= SMALL_BYTES || length + chunk.length > JOINED_BYTES) flush();
      if (chunk.length >= SMALL_BYTES) {
        pass(chunk);
        return;
      }
      memory ??= Buffer.allocUnsafeSlow(JOINED_BYTES);
      memory.set(chunk, length);
      length += chunk.length;
      timer ??= setImmediate(flush);
    },
    /** Passes on what is held: the stream has ended. */
    flush,
  };
}
