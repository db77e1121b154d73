/** Executes subscriptions with little memory per open one. */
import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, execute, type GraphQLError } from 'graphql';

type Mask = (error: GraphQLError) => GraphQLError;

/**
 * Runs a subscription as graphql's own `subscribe` does, in one iterator instead of a chain of them: a server holds thousands of
 * these. An error of the source comes as a last result, so that a caller sees it before the stream ends.
 * @param mask masks the stream's errors; those of a source that could not be opened are returned unmasked
 */
export async function executeSubscription(
  args: ExecutionArgs,
  mask: Mask,
): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const source = await createSourceEventStream(args);
  if (!(Symbol.asyncIterator in source)) return source;
  return new ResultStream(args, source[Symbol.asyncIterator](), mask);
}

/** A class instead of closures: all subscriptions share its methods. */
class ResultStream implements AsyncIterableIterator<ExecutionResult> {
  readonly #args: ExecutionArgs;
  readonly #events: AsyncIterator<unknown>;
  readonly #mask: Mask;
  #ended = false;

  constructor(args: ExecutionArgs, events: AsyncIterator<unknown>, mask: Mask) {
    this.#args = args;
    this.#events = events;
    this.#mask = mask;
  }

  async next(): Promise<IteratorResult<ExecutionResult>> {
    if (this.#ended) return { value: undefined, done: true };
    let event: IteratorResult<unknown>;
    try {
      event = await this.#events.next();
    } catch (error) {
      this.#ended = true;
      return { value: { errors: [this.#mask(error as GraphQLError)] }, done: false };
    }
    if (event.done) {
      this.#ended = true;
      return { value: undefined, done: true };
    }
    const result = await execute({ ...this.#args, rootValue: event.value });
    return { value: maskErrors(result, this.#mask), done: false };
  }

  async return(): Promise<IteratorResult<ExecutionResult>> {
    this.#ended = true;
    await this.#events.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** The result with each error as clients may see it; the same object if there is none. */
export function maskErrors(result: ExecutionResult, mask: Mask): ExecutionResult {
  return result.errors ? { ...result, errors: result.errors.map(mask) } : result;
}
