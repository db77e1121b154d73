/** A thread that prepares one JPEG after the other. */
import { answerRequests } from '../answer-requests.ts';
import { type PrepareRequest, preparePlainJpeg } from './prepare.ts';

answerRequests(({ file, ...options }: PrepareRequest) =>
  preparePlainJpeg(Buffer.from(file.buffer, file.byteOffset, file.byteLength), options),
);
