/** Whether {@link createUploadFetch} can be used here: in browsers, not in Node. */
export function canReportProgress(): boolean {
  return typeof XMLHttpRequest !== 'undefined';
}

/**
 * A `fetch` for one upload that reports progress. It sends through XMLHttpRequest, since the Fetch API does not report the progress of
 * an upload. The response can be read while it comes.
 * @param onProgress gets the share of the body that was sent, 0 to 1
 */
export function createUploadFetch(onProgress: (share: number) => void): typeof fetch {
  return (input, init = {}) =>
    new Promise<Response>((resolve, reject) => {
      const request = new XMLHttpRequest();
      const encoder = new TextEncoder();
      let body: ReadableStreamDefaultController<Uint8Array> | undefined;
      let read = 0;
      const passOn = () => {
        const text = request.responseText.slice(read);
        read += text.length;
        if (text) body?.enqueue(encoder.encode(text));
      };
      const fail = (error: Error) => {
        reject(error);
        const started = body;
        body = undefined;
        started?.error(error);
      };
      request.open(init.method ?? 'POST', String(input));
      new Headers(init.headers).forEach((value, name) => {
        request.setRequestHeader(name, value);
      });
      request.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
      request.upload.onload = () => onProgress(1);
      request.onreadystatechange = () => {
        if (request.readyState !== XMLHttpRequest.HEADERS_RECEIVED || request.status === 0) return;
        const stream = new ReadableStream<Uint8Array>({
          start(controller) {
            body = controller;
          },
          cancel() {
            body = undefined;
            request.abort();
          },
        });
        const mayHaveBody = request.status !== 204 && request.status !== 304;
        resolve(new Response(mayHaveBody ? stream : null, { status: request.status, headers: readHeaders(request) }));
      };
      request.onprogress = passOn;
      request.onload = () => {
        passOn();
        body?.close();
      };
      request.onerror = () => fail(new TypeError('The server could not be reached.'));
      request.onabort = () => fail(new DOMException('The upload was canceled.', 'AbortError'));
      const { signal } = init;
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', () => request.abort(), { once: true });
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
