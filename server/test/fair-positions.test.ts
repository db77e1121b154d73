/** Position and estimated start of what waits, in the order of fair shares. */
import { expect, test } from 'vitest';
import { startGuardedServer } from './callers.ts';
import { ENQUEUE, paint, startWorker } from './server-harness.ts';

const PLACE = 'query ($id: ID!) { prediction(id: $id) { queuePosition estimatedStartMs } }';
/** One image per second, so that an estimate in seconds is a position. */
const IMAGE_MS = 1_000;

interface Place {
  prediction: { queuePosition: number; estimatedStartMs: number };
}

test('a tenant with one image does not wait behind the backlog of another, and position and estimate say so', async () => {
  const { server, makeKey } = await startGuardedServer();
  const worker = await startWorker(server.prefix, { queue: { fairShares: true } }, { idle: true });
  await worker.consumer.register({ ...worker.record, imageMs: IMAGE_MS });
  const alice = await makeKey();
  const bob = await makeKey({ tenant: 'bob' });
  async function enqueue({ headers }: typeof alice, red: number): Promise<string> {
    const { data } = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(red)], {}, headers);
    return data.classifyImage.id;
  }
  const place = async (id: string, { headers }: typeof alice) =>
    (await server.query<Place>(PLACE, { id }, headers)).data.prediction;

  const ofAlice: string[] = [];
  for (let red = 1; red <= 8; red++) ofAlice.push(await enqueue(alice, red));
  const last = ofAlice.at(-1)!;
  expect(await place(last, alice)).toEqual({ queuePosition: 8, estimatedStartMs: 8 * IMAGE_MS });
  const ofBob = await enqueue(bob, 20);
  const placeOfBob = await place(ofBob, bob);
  expect(placeOfBob.queuePosition).toBeLessThan(4);
  expect(placeOfBob.estimatedStartMs).toBe(placeOfBob.queuePosition * IMAGE_MS);
  // The caller that is overtaken sees it.
  expect(await place(last, alice)).toEqual({ queuePosition: 9, estimatedStartMs: 9 * IMAGE_MS });
});
