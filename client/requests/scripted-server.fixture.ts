/** A server that gives the answers that a test makes up, and a client of it. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach } from 'vitest';
import { type Client, createClient, type NodeImageInput, type Prediction } from '../node.ts';

export type Answer = (response: ServerResponse, body: string, request: IncomingMessage) => void;

let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

/** A server that gives these answers, one per request, and repeats the last one. */
export async function serve(
  answers: Answer[],
): Promise<{ client: Client<NodeImageInput>; bodies: string[]; url: string }> {
  const bodies: string[] = [];
  server = createServer(async (request, response) => {
    const body = await text(request);
    bodies.push(body);
    answers[Math.min(bodies.length, answers.length) - 1]!(response, body, request);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { client: createClient({ url, retryForMs: 5_000 }), bodies, url };
}

export const json =
  (answer: unknown, status = 200, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(answer));

export const refusal = (code: string, extensions: object = {}) => ({
  data: null,
  errors: [{ message: 'no', extensions: { code, ...extensions } }],
});

export const next = (data: unknown) => `event: next\ndata: ${JSON.stringify(data)}\n\n`;

export const events =
  (...parts: string[]): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) response.write(part);
    response.end();
  };

export const cut: Answer = (response) => response.destroy();

export const accepted = json({ data: { classifyImage: { __typename: 'Prediction', id: 'm.1' } } });

export function state(fields: Partial<Prediction>) {
  return { data: { prediction: { id: 'm.1', status: 'QUEUED', ...fields } } };
}

export const succeeded = state({ status: 'SUCCEEDED', result: { labels: [{ name: 'cat', index: 1, score: 0.9 }] } });

export const photo = new Uint8Array([1, 2, 3]);

export function keyOf(body: string): string | undefined {
  return /"idempotencyKey":"([^"]+)"/.exec(body)?.[1];
}

/** From now on the server takes requests and never answers. */
export function fallSilent(): void {
  server!.removeAllListeners('request');
}
