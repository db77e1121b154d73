/** A thread that prepares one JPEG after the other. */
import { serveRequests } from '../threads/serve-requests.ts';
import { type PrepareRequest, preparePlainJpeg } from './model-pixels.ts';

serveRequests(({ file, ...options }: PrepareRequest) =>
  preparePlainJpeg(Buffer.from(file.buffer, file.byteOffset, file.byteLength), options),
);
