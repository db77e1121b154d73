/** Counts requests, so that a server closes only after their responses. */
export class RequestsInProgress {
  #count = 0;
  #onIdle: (() => void) | undefined;

  /** @returns call it when the response is complete; further calls do nothing */
  begin(): () => void {
    this.#count++;
    let hasEnded = false;
    return () => {
      if (hasEnded) return;
      hasEnded = true;
      this.#count--;
      if (this.#count === 0) this.#onIdle?.();
    };
  }

  /** Resolves when there is none, or at the limit. */
  async whenEnded(limitMs: number): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Responses that come in parts: subscriptions, and mutations with @defer. All others are complete when the server returns them. */
const STREAMS = /^(multipart\/mixed|text\/event-stream)\b/;

/**
 * A response as the host application sends it.
 * @param end called when its body has been read or is no longer wanted
 */
export function endWithBody({ method }: Request, response: Response, end: () => void): Response {
  const { body, status, statusText, headers } = response;
  // Nobody reads the body of a response to HEAD.
  if (!body || method === 'HEAD' || !STREAMS.test(headers.get('content-type') ?? '')) {
    end();
    return response;
  }
  const reader = body.getReader();
  const counted = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          end();
          controller.close();
        } catch (error) {
          end();
          throw error;
        }
      },
      cancel(reason) {
        end();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  // A host's Response, such as Hono's, does not read the Headers that Yoga makes.
  return new Response(counted, { status, statusText, headers: [...headers] });
}
