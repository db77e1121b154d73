import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';

/** Bounds the bodies that carry no files, whether they announce their length or not: 413. Uploads have a limit of their own. */
export function useBodyLimit(maxQueryBytes: number): Plugin {
  const tooLarge = () =>
    new GraphQLError('The request is too large.', {
      extensions: { code: 'REQUEST_TOO_LARGE', http: { status: 413 } },
    });
  return {
    onRequestParse({ request, requestParser, setRequestParser, fetchAPI }) {
      if (!requestParser || /^multipart\//i.test(request.headers.get('content-type') ?? '')) return;
      if (Number(request.headers.get('content-length') ?? 0) > maxQueryBytes) throw tooLarge();
      if (!request.body || request.headers.has('content-length')) return;
      const parse = requestParser;
      setRequestParser(async (whole) => {
        const reader = whole.body!.getReader();
        const chunks: Uint8Array[] = [];
        let bytes = 0;
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          bytes += part.value.byteLength;
          // The body is left unread and not cancelled: that would cut the connection before the answer.
          if (bytes > maxQueryBytes) throw tooLarge();
          chunks.push(part.value);
        }
        const { url, method, headers, signal } = whole;
        return parse(new fetchAPI.Request(url, { method, headers, signal, body: Buffer.concat(chunks) }));
      });
    },
  };
}
