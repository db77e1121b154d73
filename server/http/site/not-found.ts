import type { Plugin } from 'graphql-yoga';
import { NOT_FOUND_POLICY } from './content-security-policies.ts';

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Not found – InferQL</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1rem; color-scheme: light dark }
</style>
<h1>Page not found</h1>
<p>Check the address, <a href="/">classify images</a> or explore <a href="/graphql">the API</a>.</p>
</html>
`;

/** Answers unknown addresses with a page for people and an error for programs. */
export function useNotFoundPage(): Plugin {
  return {
    onResponse({ request, response, fetchAPI, setResponse }) {
      if (response.status !== 404 || response.headers.has('content-type')) return;
      const isForPeople = request.headers.get('accept')?.includes('text/html') ?? false;
      const headers: Record<string, string> = isForPeople
        ? { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': NOT_FOUND_POLICY }
        : { 'content-type': 'application/json; charset=utf-8' };
      const error = { message: 'Nothing is served at this address.', extensions: { code: 'BAD_REQUEST' } };
      const body = isForPeople ? PAGE : `${JSON.stringify({ errors: [error] })}\n`;
      setResponse(new fetchAPI.Response(body, { status: 404, headers }));
    },
  };
}
