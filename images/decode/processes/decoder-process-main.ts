/**
 * A process that decodes one image after the other, so that it can be ended in the middle of one: neither a thread nor a decoder's own time limit
 * stops native code that is in a loop.
 */
import { InferqlError } from '@inferql/queue/error-codes';
import { inspectImage } from '../../inspect/inspect.ts';
import { decodeImage } from '../../preprocess.ts';
import { setSharpGlobals } from '../../sharp-settings.ts';
import type { DecodeAnswer, DecodeRequest, Ready } from './process-protocol.ts';

setSharpGlobals();
process.on('message', (request: DecodeRequest) => void answer(request));
// Exiting would wait for the thread that decodes.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// Ctrl-C reaches the whole group; the server ends this process when it is done.
process.on('SIGINT', () => undefined);
process.send?.('ready' satisfies Ready);

async function answer({ id, file, input }: DecodeRequest): Promise<void> {
  const result = await decode(Buffer.from(file.buffer, file.byteOffset, file.length), input);
  process.send?.({ id, rssBytes: process.memoryUsage.rss(), ...result } satisfies DecodeAnswer);
}

async function decode(file: Buffer, input: DecodeRequest['input']) {
  try {
    return { pixels: await decodeImage(file, inspectImage(file), input) };
  } catch (cause) {
    const { code, message, retryAfterMs } = cause instanceof InferqlError ? cause : new InferqlError('CORRUPT');
    return { error: { code, message, retryAfterMs } };
  }
}
