/** The bare engine: onnxruntime and the model in a separate process, without any of InferQL's code. */
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { serveRpc } from '../child-rpc.ts';
import type { BaselineRequest, BaselineResponse } from './plan.ts';

let session: InferenceSession | undefined;
let pixels: Buffer = Buffer.alloc(0);
let size: [number, number, number] = [0, 0, 0];

serveRpc<BaselineRequest, BaselineResponse>(async (request) => {
  if (request.type === 'load') {
    session = await InferenceSession.create(request.onnxPath, { intraOpNumThreads: request.threads });
    pixels = readFileSync(request.pixelsPath);
    size = request.size;
    return { imagesPerSecond: Number.NaN, runsMs: [], rssBytes: process.memoryUsage.rss() };
  }
  if (!session) throw new Error('no model is loaded');
  const { batch, durationMs } = request;
  const imageBytes = size[0] * size[1] * size[2];
  const batches = Math.floor(pixels.length / (imageBytes * batch));
  const inputName = session.inputNames[0]!;
  const fetches = [session.outputNames[0]!];
  const runsMs: number[] = [];
  const startedAt = performance.now();
  for (let turn = 0; performance.now() - startedAt < durationMs; turn++) {
    const at = (turn % batches) * batch * imageBytes;
    const runAt = performance.now();
    const images = new Tensor('uint8', pixels.subarray(at, at + batch * imageBytes), [batch, ...size]);
    await session.run({ [inputName]: images }, fetches);
    runsMs.push(performance.now() - runAt);
  }
  const elapsedMs = performance.now() - startedAt;
  return {
    imagesPerSecond: (1000 * batch * runsMs.length) / elapsedMs,
    runsMs,
    rssBytes: process.memoryUsage.rss(),
  };
});
