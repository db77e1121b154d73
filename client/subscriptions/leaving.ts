/**
 * An async generator that its reader can leave at any time. One that waits for its next value would return only when it has it, which may be
 * never.
 * @param start starts the generator that gives the values; the signal ends it
 */
export function endWhenLeft<Value>(
  start: (signal: AbortSignal) => AsyncGenerator<Value, void, undefined>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Value, void, undefined> {
  const left = new AbortController();
  const values = start(signal ? AbortSignal.any([signal, left.signal]) : left.signal);
  const leave = async () => {
    left.abort(new DOMException('The reader left.', 'AbortError'));
    // Its last error is that it was left.
    await values.return().catch(() => {});
  };
  const end: IteratorReturnResult<void> = { done: true, value: undefined };
  // What is inherited, such as the method for `for await`, calls these.
  return Object.assign(Object.create(Object.getPrototypeOf(values)) as typeof values, {
    async next() {
      try {
        return await values.next();
      } catch (error) {
        if (left.signal.aborted) return end;
        throw error;
      }
    },
    async return() {
      await leave();
      return end;
    },
    async throw(error: unknown) {
      await leave();
      throw error;
    },
  });
}
