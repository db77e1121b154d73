import sharp from 'sharp';
import { expect, test } from 'vitest';
import { startServer, startWorker } from './server-harness.ts';

const MAX_WAIT_MS = 2_000;
const SLACK_MS = 1_000;
const QUERY = `mutation ($image: Upload!) { classifyImage(image: $image) {
  __typename ... on Prediction { status createdAt result { labels { name } } } ... on Error { code } } }`;

interface Answer {
  classifyImage: { __typename: string; status: string; createdAt: string };
}

test('no mutation waits longer than INFERQL_MAX_WAIT_MS, including the time that its image waited for the decoder', async () => {
  const server = await startServer({ env: { INFERQL_MAX_WAIT_MS: String(MAX_WAIT_MS) } });
  const worker = await startWorker(server.prefix);
  worker.settling.close();
  // Interlaced, so that decoding is slow: two are decoded at once, the others wait.
  const image = await sharp({ create: { width: 4_000, height: 4_000, channels: 3, background: '#456' } })
    .png({ progressive: true, compressionLevel: 1 })
    .toBuffer();
  const answers = await Promise.all(
    Array.from({ length: 16 }, async () => {
      const sentMs = Date.now();
      const { data } = await server.upload<Answer>(QUERY, [image]);
      const { status, createdAt } = data.classifyImage;
      return { status, decodedAfterMs: Date.parse(createdAt) - sentMs, answeredAfterMs: Date.now() - sentMs };
    }),
  );
  for (const { status, decodedAfterMs, answeredAfterMs } of answers) {
    expect(status).toMatch(/^(QUEUED|PROCESSING)$/);
    expect(answeredAfterMs).toBeLessThan(Math.max(MAX_WAIT_MS, decodedAfterMs) + SLACK_MS);
  }
  // Otherwise the bound would say nothing.
  expect(Math.max(...answers.map(({ decodedAfterMs }) => decodedAfterMs))).toBeGreaterThan(SLACK_MS);
});
