import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Backend } from '../backend.ts';
import type { Config } from '../config.ts';
import { createApp, makeContext } from './app.ts';
import { attachWebSockets } from './web-socket.ts';

/** Longer than a load balancer keeps an idle connection, so that it is never we who close one that is about to be used. */
const KEEP_ALIVE_MS = 65_000;
/** A whole request, upload included, must have arrived within this. */
const REQUEST_TIMEOUT_MS = 120_000;
/** After the waits have ended their answers are given this long to be sent. */
const SEND_GRACE_MS = 1_000;

/** The server with its port closed; `listen` opens it, `drain` ends it without losing an answer. */
export function createListener({ config, backend, log }: { config: Config; backend: Backend; log: Logger }) {
  const { services, isReady, isDraining } = backend;
  const app = createApp({ config, services, isReady, isDraining, log });
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS }, app);
  const webSockets = attachWebSockets(server, {
    app,
    makeContext: (signal) => makeContext(services, signal),
    config,
    log,
  });

  let draining: Promise<void> | undefined;

  return {
    app,

    /**
     * Opens the port.
     * @returns the address, as a browser takes it
     * @throws the system's error, such as EADDRINUSE
     */
    async listen(): Promise<string> {
      server.listen(config.port, config.host);
      await once(server, 'listening');
      const { address, port, family } = server.address() as AddressInfo;
      return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    },

    /** Accepts nothing more, ends subscriptions with a retryable error, and lets waiting requests end within `config.drainMs`. */
    drain(): Promise<void> {
      draining ??= drain();
      return draining;
    },
  };

  async function drain(): Promise<void> {
    const closed = server.listening ? once(server, 'close') : Promise.resolve();
    server.close();
    backend.drain();
    await webSockets.drain();
    server.closeIdleConnections();
    // Connections become idle one by one while their requests end.
    const sweep = setInterval(() => server.closeIdleConnections(), 50);
    const forced = setTimeout(() => server.closeAllConnections(), config.drainMs + SEND_GRACE_MS);
    await closed;
    clearInterval(sweep);
    clearTimeout(forced);
  }
}
