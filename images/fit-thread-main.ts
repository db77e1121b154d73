/** A thread that fits one image after the other, so that large ones do not block the server's event loop. */
import { parentPort } from 'node:worker_threads';
import { fitPixels } from './fit.ts';
import type { FitAnswer, FitRequest } from './fit-thread.ts';

parentPort?.on('message', ({ id, source, rule }: FitRequest) => {
  let answer: FitAnswer;
  try {
    answer = { id, pixels: fitPixels(source, rule) };
  } catch (error) {
    answer = { id, error: error as Error };
  }
  const isOwn = 'pixels' in answer && answer.pixels.buffer.byteLength === answer.pixels.byteLength;
  parentPort?.postMessage(answer, isOwn && 'pixels' in answer ? [answer.pixels.buffer as ArrayBuffer] : []);
});
