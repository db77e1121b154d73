/** The listeners that the framework adds to a response. */
import type { ServerResponse } from 'node:http';

type Listener = (...args: unknown[]) => void;

const added = new WeakMap<ServerResponse, FrameworkListeners>();

/** Passes listeners on to a response, and notes them. */
class FrameworkListeners {
  readonly #response: ServerResponse;
  readonly #listeners: [event: string, listener: Listener][] = [];

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get errored(): Error | null {
    return this.#response.errored;
  }

  once(event: string, listener: Listener): void {
    this.#listeners.push([event, listener]);
    this.#response.once(event, listener);
  }

  removeListener(event: string, listener: Listener): void {
    this.#response.removeListener(event, listener);
  }

  removeAll(): void {
    for (const [event, listener] of this.#listeners) this.#response.removeListener(event, listener);
  }
}

/** What the framework gets in place of the response: it only listens to it, to abort the request's signal. */
export function noteListeners(response: ServerResponse): ServerResponse {
  const listeners = new FrameworkListeners(response);
  added.set(response, listeners);
  return listeners as unknown as ServerResponse;
}

/** Removes what the framework has added. Listeners of other modules and of a host application stay: they count or free what the response holds. */
export function removeFrameworkListeners(response: ServerResponse): void {
  added.get(response)?.removeAll();
  added.delete(response);
}
