import { describe, expect, test } from 'vitest';
import { MAP, multipart, OPERATIONS, open, post } from './http-harness.ts';
import { jsonRequest } from './requests.ts';
import { ENQUEUE, paint, startServer, startWorker } from './server-harness.ts';

describe('protection', () => {
  test.each(['multipart/form-data; boundary=frontier', 'application/x-www-form-urlencoded', 'text/plain'])(
    '%s without the header is 403',
    async (type) => {
      const server = await startServer();
      const body = multipart([
        ['operations', OPERATIONS],
        ['map', MAP],
        ['0', 'x', 'x.jpg'],
      ]);
      expect((await post(await open(server), body, { 'content-type': type })).status).toBe(403);
    },
  );

  test('a mutation without the header is 403 and has no effect, a query needs none', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix, {}, { idle: true });
    const { data } = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(1)]);
    const bare = (query: string) =>
      server.fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ query }),
      });
    const { id } = data.classifyImage;
    const refused = await bare(`mutation { cancelPrediction(id: "${id}") { status } }`);
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain('x-graphql-yoga-csrf');
    const read = await bare(`{ prediction(id: "${id}") { status } }`);
    expect(await read.json()).toEqual({ data: { prediction: { status: 'QUEUED' } } });
    worker.claiming.open();
  });

  test('a mutation by GET is refused', async () => {
    const server = await startServer();
    const query = encodeURIComponent('mutation { cancelPrediction(id: "x") { id } }');
    const response = await server.fetch(`/graphql?query=${query}`);
    expect(response.status).toBe(405);
  });

  test.each<[string, string]>([
    ['too deep', `{ ${'models { queue { '.repeat(1)} ${'... on Queue { '.repeat(15)} waiting ${'}'.repeat(15)} } } }`],
    [
      'with too many aliases',
      `{ ${Array.from({ length: 40 }, (_, i) => `a${i}: model(name: "x") { name }`).join(' ')} }`,
    ],
    ['with too many tokens', `{ ${'__typename '.repeat(3_000)} }`],
    [
      'too costly',
      `{ ${Array.from({ length: 25 }, (_, i) => `m${i}: models { queue { workers { id version engine imageMs startedAt } ended { failed } } input { width } }`).join(' ')} }`,
    ],
  ])('a query %s is refused', async (name, query) => {
    const server = await startServer({ env: { INFERQL_MAX_COST: name === 'too costly' ? '500' : '20000' } });
    const { data, errors } = await server.query(query);
    expect(data).toBeUndefined();
    expect(errors!.length).toBeGreaterThan(0);
  });

  test('introspection can be switched off, and then nothing is suggested either', async () => {
    const server = await startServer({ env: { INFERQL_INTROSPECTION: 'off' } });
    const { errors } = await server.query('{ __schema { types { name } } }');
    expect(errors![0]!.message).toContain('introspection');
    const typo = await server.query('{ modelz { name } }');
    expect(typo.errors![0]!.message).not.toContain('Did you mean');
    const value = await server.query(
      'mutation ($image: Upload!, $priority: Priority) { classifyImage(image: $image, priority: $priority) { __typename } }',
      { priority: 'HIG' },
    );
    expect(JSON.stringify(value.errors)).toContain('HIG');
    expect(JSON.stringify(value.errors)).not.toContain('HIGH');
    const open = await startServer();
    expect((await open.query('{ __schema { queryType { name } } }')).data).toEqual({
      __schema: { queryType: { name: 'Query' } },
    });
  });

  test('exceptions are masked', async () => {
    const server = await startServer();
    server.components.services.listModels = async () => {
      throw new Error('secret: redis://user:password@host');
    };
    const { data, errors, status } = await server.query('{ models { name } }');
    expect(data).toBeNull();
    expect(status).toBe(500);
    expect(errors).toEqual([
      expect.objectContaining({ message: 'Unexpected error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } }),
    ]);
    expect(JSON.stringify(errors)).not.toContain('secret');
  });

  test('labels(topK) out of range is an error of that field alone', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data, errors, status } = await server.upload<{ classifyImage: object }>(
      'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { status result { labels(topK: 1001) { name } } } } }',
      [await paint(3)],
    );
    expect(status).toBe(200);
    expect(data.classifyImage).toEqual({ status: 'SUCCEEDED', result: null });
    expect(errors![0]!.extensions).toEqual({ code: 'INVALID_INPUT' });
  });

  test('other origins get no CORS headers unless they are allowed', async () => {
    const closed = await startServer();
    const origin = { origin: 'http://friend.test' };
    expect(
      (await closed.fetch('/graphql', jsonRequest('{ __typename }', {}, origin))).headers.has(
        'access-control-allow-origin',
      ),
    ).toBe(false);
    const server = await startServer({ env: { INFERQL_CORS_ORIGINS: 'http://friend.test, http://other.test' } });
    const friend = await server.fetch('/graphql', jsonRequest('{ __typename }', {}, origin));
    expect(friend.headers.get('access-control-allow-origin')).toBe('http://friend.test');
    const stranger = await server.fetch('/graphql', jsonRequest('{ __typename }', {}, { origin: 'http://evil.test' }));
    expect(stranger.headers.get('access-control-allow-origin')).not.toBe('http://evil.test');
    const preflight = await server.fetch('/graphql', {
      method: 'OPTIONS',
      headers: {
        ...origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'x-graphql-yoga-csrf',
      },
    });
    const allowed = preflight.headers.get('access-control-allow-headers');
    for (const header of ['x-graphql-yoga-csrf', 'apollo-require-preflight', 'authorization'])
      expect(allowed).toContain(header);
  });

  test('every response carries the security headers', async () => {
    const server = await startServer();
    for (const path of ['/graphql?query={__typename}', '/health/live', '/nothing']) {
      const { headers } = await server.fetch(path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
    }
  });
});
