import type { Plugin } from 'graphql-yoga';

/** `/health/live`: the process answers. `/health/ready`: it can accept work (Redis answers and its channel is subscribed); 503 if not. */
export function useHealth(isReady: () => Promise<boolean>, listUnreadable: () => string[]): Plugin {
  return {
    async onRequest({ url, fetchAPI, endResponse }) {
      if (!url.pathname.startsWith('/health/')) return;
      const answer = (status: number, body: string) =>
        endResponse(
          new fetchAPI.Response(`${body}\n`, {
            status,
            headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
          }),
        );
      if (url.pathname === '/health/live') return answer(200, 'live');
      if (url.pathname !== '/health/ready') return answer(404, 'not found');
      if (!(await isReady())) return answer(503, 'not ready');
      const unreadable = listUnreadable().length;
      // The log has the details: everyone may ask here.
      const warning =
        unreadable > 0 ? `\n${unreadable} records in Redis cannot be read by this release: see the log` : '';
      return answer(200, `ready${warning}`);
    },
  };
}
