/** Event streams that nobody reads while events flow, over real ports. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { extendSchema, parse } from 'graphql';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createInferQL } from '../embed/create-inferql.ts';
import { closeUnreadAnswers } from '../http/connections/unread-answers.ts';
import { atEnd, testRedis } from './server-harness.ts';

const EVENT = 'x'.repeat(200_000);
/** More than the system's buffers of a connection hold. */
const MOST_EVENTS = 200;
const STREAMS = 4;

test('event streams that nobody reads make their sources wait, and end', async () => {
  let events = 0;
  let open = 0;
  const inferql = createInferQL({
    redisUrl: testRedis().url,
    prefix: 'slow',
    extendSchema(schema) {
      const extended = extendSchema(schema, parse('extend type Subscription { flood: String! }'));
      extended.getSubscriptionType()!.getFields().flood!.subscribe = async function* () {
        open++;
        try {
          for (;;) {
            events++;
            yield { flood: EVENT };
          }
        } finally {
          open--;
        }
      };
      return extended;
    },
  });
  atEnd(() => inferql.stop());
  await inferql.start();
  const logged: string[] = [];
  const server = createServer(inferql.node);
  const log = pino({ base: null }, { write: (line: string) => void logged.push(JSON.parse(line).msg) });
  closeUnreadAnswers(server, log, { lookEveryMs: 100 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });

  const { port } = server.address() as AddressInfo;
  const before = process.memoryUsage();
  let most = 0;
  const closed: Promise<unknown>[] = [];
  server.on('connection', (socket) => closed.push(once(socket, 'close')));
  for (let i = 0; i < STREAMS; i++) {
    const socket = connect(port, '127.0.0.1').pause();
    socket.on('error', () => undefined);
    atEnd(() => void socket.destroy());
    socket.write('GET /graphql?query=subscription{flood} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n');
  }
  await expect.poll(() => closed.length).toBe(STREAMS);
  const measure = setInterval(() => {
    const now = process.memoryUsage();
    most = Math.max(most, now.external + now.heapUsed - before.external - before.heapUsed);
  }, 20);
  await Promise.all(closed);
  clearInterval(measure);
  await expect.poll(() => open).toBe(0);
  expect(events).toBeGreaterThan(STREAMS);
  expect(events).toBeLessThan(STREAMS * MOST_EVENTS);
  expect(most).toBeLessThan(STREAMS * MOST_EVENTS * EVENT.length);
  expect(logged).toEqual(Array(STREAMS).fill('client does not read its response; connection closed'));
});
