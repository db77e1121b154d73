/** Shared by the tests of the server inside another program. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readAnswer, uploadRequest } from '../test/requests.ts';
import { atEnd, CLASSIFY, paint, testRedis } from '../test/server-harness.ts';
import { createInferQL } from './create-inferql.ts';
import type { InferQLOptions } from './types.ts';

let prefixes = 0;

export interface Classified {
  classifyImage: { __typename: string; id: string; code?: string; result?: { labels: { index: number }[] } };
}

/** An embedded server, which the test's end stops, and its prefix in Redis. */
export function embed(options: InferQLOptions = {}) {
  const prefix = options.prefix ?? `embed${++prefixes}`;
  const inferql = createInferQL({ redisUrl: testRedis().url, prefix, ...options });
  atEnd(() => inferql.stop());
  return { inferql, prefix };
}

/** Classifies a picture of one color. */
export async function classify(
  send: (request: Request) => Promise<Response>,
  red: number,
  {
    path = '/graphql',
    headers = {},
    variables = {},
  }: { path?: string; headers?: Record<string, string>; variables?: object } = {},
) {
  const init = uploadRequest(CLASSIFY, [await paint(red)], variables, headers);
  return readAnswer<Classified>(await send(new Request(`http://app.test${path}`, init)));
}

/** A server on a free port, which the test's end closes. */
export async function listen(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, origin: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}
