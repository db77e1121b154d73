/** Without this limit, a silently dead connection lasts until the system gives it up, which takes a quarter of an hour. */
const MAX_SILENCE_MS = 60_000;

/**
 * A `fetch` for one upload that reports progress. It sends through XMLHttpRequest, since the Fetch API does not report the
 * progress of an upload.
 * If nothing moves for a minute, it fails like a lost connection.
 * @param onProgress the share of the body that was sent, 0 to 1
 */
export function createUploadFetch(onProgress: (sent: number) => void): typeof fetch {
  return (input, init = {}) =>
    new Promise<Response>((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(init.method ?? 'POST', String(input));
      new Headers(init.headers).forEach((value, name) => {
        request.setRequestHeader(name, value);
      });
      let timer: ReturnType<typeof setTimeout> | undefined;
      const expectMore = () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          reject(new TypeError('The server fell silent'));
          request.abort();
        }, MAX_SILENCE_MS);
      };
      request.upload.onprogress = ({ loaded, total }) => {
        expectMore();
        onProgress(total > 0 ? loaded / total : 0);
      };
      request.upload.onload = () => onProgress(1);
      request.onloadend = () => clearTimeout(timer);
      request.onload = () => {
        resolve(new Response(request.response, { status: request.status, headers: readHeaders(request) }));
      };
      request.onerror = () => reject(new TypeError('The server could not be reached'));
      request.onabort = () => reject(new DOMException('The upload was cancelled', 'AbortError'));
      const { signal } = init;
      if (signal?.aborted) return request.onabort(new ProgressEvent('abort'));
      signal?.addEventListener('abort', () => request.abort(), { once: true });
      expectMore();
      request.send(init.body as XMLHttpRequestBodyInit);
    });
}

function readHeaders(request: XMLHttpRequest): [string, string][] {
  return request
    .getAllResponseHeaders()
    .trim()
    .split(/[\r\n]+/)
    .filter(Boolean)
    .map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    });
}
