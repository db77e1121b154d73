/** Refuses chunked bodies with very many tiny chunks: each chunk costs the event loop the same, however few bytes it has. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerRaw } from './raw-response.ts';

/** A body may have any number of chunks if they are at least this large on average. */
export const MIN_CHUNK_BYTES = 256;
/** A chunk that is split by a read from the connection arrives in two pieces. */
const PIECES_PER_CHUNK = 2;
/** The average is looked at beyond this many chunks. */
export const MAX_SMALL_CHUNKS = 10_000;
/** The client has this long to see the answer; what it still sends is dropped. */
const ANSWER_GRACE_MS = 1_000;

/** Call it before the body is read. */
export function refuseSmallChunks(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers['transfer-encoding'] === undefined) return;
  let pieces = 0;
  let bytes = 0;
  let isRefused = false;
  const push = request.push.bind(request);
  // Node's parser calls this with each chunk.
  request.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    if (isRefused) return false;
    if (chunk) {
      pieces++;
      bytes += chunk.length;
      if (pieces > MAX_SMALL_CHUNKS && bytes * PIECES_PER_CHUNK < pieces * MIN_CHUNK_BYTES) {
        isRefused = true;
        refuse(request, response);
        return false;
      }
    }
    return push(chunk, encoding);
  };
}

function refuse({ socket }: IncomingMessage, response: ServerResponse): void {
  const message = `The body arrived in more than ${MAX_SMALL_CHUNKS} chunks of less than ${MIN_CHUNK_BYTES} bytes on average. Send larger ones.`;
  answerRaw(response, { status: 400, code: 'BAD_REQUEST', message }, { connection: 'close' });
  const timer = setTimeout(() => socket.destroy(), ANSWER_GRACE_MS);
  socket.once('close', () => clearTimeout(timer));
}
