/** Heavy use by callers with a valid key, and by those without one, over a real port: what one of them costs the others. */
import { once } from 'node:events';
import { openSocket } from '@inferql/testing/system/graphql-client';
import sharp from 'sharp';
import { beforeEach, describe, expect, test } from 'vitest';
import { startGuardedServer } from '../callers.ts';
import { MAP, MULTIPART_HEADERS, multipart, OPERATIONS, open, send } from '../http-harness.ts';
import { jsonRequest, readAnswer, uploadRequest } from '../requests.ts';
import { atEnd, CLASSIFY, paint, startWorker } from '../server-harness.ts';

const PER_CONNECTION = 20;
const PER_TENANT = 50;

let url: string;
let alice: Record<string, string>;
let bob: Record<string, string>;

beforeEach(async () => {
  const { server, makeKey } = await startGuardedServer({
    env: {
      INFERQL_MAX_SUBSCRIPTIONS_PER_CONNECTION: `${PER_CONNECTION}`,
      INFERQL_MAX_SUBSCRIPTIONS: `${PER_TENANT}`,
    },
  });
  await startWorker(server.prefix);
  alice = (await makeKey()).headers;
  bob = (await makeKey({ tenant: 'bob' })).headers;
  url = await open(server);
});

/** Sends one image; which class it got. */
async function classify(headers: Record<string, string>, image: Buffer): Promise<number | undefined> {
  const answer = await fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [image], {}, headers));
  const { data } = await readAnswer<{ classifyImage: { result?: { labels: { index: number }[] } } }>(answer);
  return data.classifyImage.result?.labels[0]?.index;
}

describe('without a key', () => {
  test.each(['', 'Bearer iql_live_nobody'])(
    '(%j) a document is not parsed, however large it is',
    async (authorization) => {
      // A syntax error would be 400.
      for (const document of ['{', `{ a #${'x'.repeat(250_000)}`, '{a'.repeat(50_000)]) {
        const answer = await fetch(`${url}/graphql`, jsonRequest(document, {}, { authorization }));
        expect([answer.status, await answer.json()]).toMatchObject([
          401,
          { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
        ]);
      }
    },
  );

  test('nothing waits for a body that never ends', async () => {
    for (const type of ['application/json', MULTIPART_HEADERS['content-type']]) {
      const headers = { 'content-type': type, 'x-graphql-yoga-csrf': '1', 'transfer-encoding': 'chunked' };
      const { outgoing, answer } = send(url, headers);
      atEnd(() => void outgoing.destroy());
      outgoing.write('{');
      expect((await answer).status).toBe(401);
    }
  });
});

describe('with a key', () => {
  test('a flood of subscriptions ends at the bounds of a connection and of a tenant, and others are not affected', async () => {
    const refusals: unknown[] = [];
    let accepted = 0;
    for (let i = 0; i < 3; i++) {
      const socket = openSocket(url, alice);
      atEnd(() => socket.close());
      await Promise.all(
        Array.from({ length: 3 * PER_CONNECTION }, async () => {
          const { value } = await socket.subscribe<object>({ query: 'subscription { queue { waiting } }' }).next();
          if (value?.errors) refusals.push(value.errors[0]!.extensions);
          else accepted++;
        }),
      );
      expect(accepted).toBe(Math.min((i + 1) * PER_CONNECTION, PER_TENANT));
    }
    expect(refusals).toHaveLength(9 * PER_CONNECTION - PER_TENANT);
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 1_000 });
    const other = openSocket(url, bob);
    atEnd(() => other.close());
    const { value } = await other.subscribe<object>({ query: 'subscription { queue { waiting } }' }).next();
    expect(value?.errors).toBeUndefined();
  });

  test('uploads that never end do not hold up those of another tenant', async () => {
    const begun = multipart(
      [
        ['operations', OPERATIONS],
        ['map', MAP],
        ['0', Buffer.alloc(100_000), 'a.png'],
      ],
      { end: false },
    );
    for (let i = 0; i < 60; i++) {
      const { outgoing, answer } = send(url, { ...MULTIPART_HEADERS, ...alice, 'content-length': '9000000' });
      // They end with the test.
      answer.catch(() => undefined);
      atEnd(() => void outgoing.destroy());
      outgoing.write(begun);
      if (i === 0) await once(outgoing, 'socket');
    }
    for (const red of [1, 2, 3]) expect(await classify(bob, await paint(red))).toBe(red);
  });

  test('images that are expensive to decode take turns with those of another tenant', async () => {
    const expensive = await sharp({ create: { width: 4_000, height: 4_000, channels: 3, background: '#456' } })
      .png({ progressive: true, compressionLevel: 1 })
      .toBuffer();
    const ends: string[] = [];
    const note = (who: string) => (index: number | undefined) => {
      expect(index).toBeDefined();
      ends.push(who);
    };
    const others = Array.from({ length: 12 }, () => classify(alice, expensive).then(note('alice')));
    await Promise.race(others);
    await Promise.all([classify(bob, expensive).then(note('bob')), classify(bob, await paint(9)).then(note('bob'))]);
    const behind = ends.length;
    await Promise.all(others);
    // Both were answered while most of the others still waited.
    expect(behind).toBeLessThan(10);
    expect(ends).toHaveLength(14);
  });
});
