import { describe, expect, test, vi } from 'vitest';
import { startGuardedServer } from '../../test/callers.ts';
import { startServer, startWorker } from '../../test/server-harness.ts';

describe('HEAD', () => {
  test.each(['/', '/health/live', '/graphql?query={__typename}', '/graphql'])(
    'of %s answers like GET, without a body',
    async (path) => {
      const server = await startServer();
      const url = await server.listener.listen();
      const accept = { accept: 'application/json, text/html' };
      const head = await fetch(url + path, { method: 'HEAD', headers: accept });
      const whole = await fetch(url + path, { headers: accept });
      expect([head.status, head.headers.get('content-type')]).toEqual([
        whole.status,
        whole.headers.get('content-type'),
      ]);
      expect(await head.text()).toBe('');
    },
  );

  test('of the endpoint has the status of GET, whatever is accepted', async () => {
    const url = await (await startServer()).listener.listen();
    for (const path of [
      '/graphql',
      '/graphql?query={',
      '/graphql?query={x}',
      '/graphql?query=mutation{__typename}',
      '/x',
    ]) {
      for (const accept of ['*/*', 'text/html', 'application/json', 'text/event-stream', 'image/png']) {
        const ask = async (method: string) => {
          const { status, headers } = await fetch(url + path, { method, headers: { accept } });
          return [path, accept, status, headers.get('content-type'), headers.get('allow')];
        };
        expect.soft(await ask('HEAD')).toEqual(await ask('GET'));
      }
    }
  });

  test('of an event stream opens none', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const watchQueue = vi.spyOn(server.components.services, 'watchQueue');
    const url = await server.listener.listen();
    const headers = { accept: 'text/event-stream' };
    const query = encodeURIComponent('subscription { queue { waiting } }');
    const response = await fetch(`${url}/graphql?query=${query}`, { method: 'HEAD', headers });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    expect(await response.text()).toBe('');
    expect(watchQueue).not.toHaveBeenCalled();
  });

  test('of an event stream needs a path and a key as GET does', async () => {
    const { server } = await startGuardedServer();
    const url = await server.listener.listen();
    const head = async (path: string) =>
      (await fetch(url + path, { method: 'HEAD', headers: { accept: 'text/event-stream' } })).status;
    const query = encodeURIComponent('subscription { queue { waiting } }');
    expect([await head('/nothing'), await head(`/graphql?query=${query}`)]).toEqual([404, 401]);
  });
});
