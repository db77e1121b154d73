/** The port for Prometheus, apart from the public one: it asks for no key. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { answerParserErrors } from '../http/connections/parser-errors.ts';
import { startListening } from '../http/listening.ts';
import { findHostProblem } from '../http/requests/host-check.ts';
import { SECURITY_HEADERS } from '../http/responses/security-headers.ts';
import type { Metrics, MetricsOptions } from './metrics-registry.ts';

const PATH = '/metrics';
/** A scraper or two, and a person. */
const MAX_CONNECTIONS = 32;
const HEADERS_TIMEOUT_MS = 10_000;

type Settings = Pick<Config, 'host' | 'metricsPort' | 'allowedHosts' | 'trustProxy'>;

/** What creates the metrics; undefined unless METRICS_PORT is set, and then their library is not loaded. */
export async function loadMetrics({
  metricsPort,
}: Pick<Config, 'metricsPort'>): Promise<((options: MetricsOptions) => Metrics) | undefined> {
  if (metricsPort === undefined) return undefined;
  const { Metrics } = await import('./metrics-registry.ts');
  return (options) => new Metrics(options);
}

/** Creates the server with its port closed. Scrapes that come while another is answered get the same answer. */
export function createMetricsServer(metrics: Pick<Metrics, 'print' | 'contentType'>, config: Settings, log: Logger) {
  let printing: Promise<string> | undefined;

  function print(): Promise<string> {
    printing ??= metrics.print().finally(() => {
      printing = undefined;
    });
    return printing;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    if (findHostProblem(request, config)) return end(response, 421, 'This server has another name.\n');
    const path = request.url?.replace(/\?.*$/, '');
    if (path !== PATH) return end(response, 404, `Metrics are at ${PATH}.\n`);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return end(response, 405, 'Use GET.\n');
    }
    try {
      const text = await print();
      response.setHeader('content-type', metrics.contentType);
      end(response, 200, text);
    } catch (error) {
      log.debug({ err: error }, 'metrics unavailable');
      end(response, 503, 'Redis does not respond.\n');
    }
  }

  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: HEADERS_TIMEOUT_MS },
    (...exchange) => void answer(...exchange),
  );
  server.maxConnections = MAX_CONNECTIONS;
  answerParserErrors(server);

  return {
    /**
     * Opens the port.
     * @returns the URL of the metrics
     * @throws the system's error, such as EADDRINUSE
     */
    async listen(): Promise<string> {
      return (await startListening(server, config.metricsPort, config.host)) + PATH;
    },

    close(): void {
      server.close();
      server.closeAllConnections();
    },
  };
}

function end(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader('cache-control', 'no-store');
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(text);
}
