/** Predictions that a program submits without HTTP. */
import { expect, test } from 'vitest';
import { jsonRequest, readAnswer } from '../test/requests.ts';
import { paint, startWorker } from '../test/server-harness.ts';
import { createInferQL } from './create-inferql.ts';
import { embed } from './embed.fixture.ts';
import type { PredictionEvent } from './types.ts';

async function collect(events: AsyncIterable<PredictionEvent>): Promise<PredictionEvent[]> {
  const all: PredictionEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

test('submit yields the states of a prediction without HTTP, and an unreadable image is an error with a code', async () => {
  const { inferql, prefix } = embed();
  await startWorker(prefix);
  const events = await collect(inferql.submit(await paint(33), { topK: 2 }));
  expect(events.at(-1)).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ index: 33 }, { index: 34 }] } });
  await expect(collect(inferql.submit(Buffer.from('not an image')))).rejects.toMatchObject({
    code: 'UNSUPPORTED_FORMAT',
  });
});

test('aborting a submission cancels its prediction', async () => {
  const { inferql, prefix } = embed();
  await startWorker(prefix, {}, { idle: true });
  const abort = new AbortController();
  let id = '';
  const run = (async () => {
    for await (const event of inferql.submit(await paint(9), { signal: abort.signal })) {
      id = event.id;
      abort.abort(new Error('enough'));
    }
  })();
  await expect(run).rejects.toThrow('enough');
  const answer = await readAnswer<{ prediction: { status: string } }>(
    await inferql.fetch(new Request('http://app.test/graphql', jsonRequest(`{ prediction(id: "${id}") { status } }`))),
  );
  expect(answer.data?.prediction.status).toBe('CANCELED');
});

test('submit applies the limits of the tenant that it is given; without a tenant there are none', async () => {
  const { inferql, prefix } = embed({ tenantLimits: '1images/day' });
  await startWorker(prefix);
  const submit = async (tenant?: string) =>
    collect(inferql.submit(await paint(7), tenant === undefined ? {} : { caller: { tenant } }));
  expect((await submit('alice')).at(-1)).toMatchObject({ status: 'SUCCEEDED' });
  // The image is the same, but embedded servers share and cache work by default: another image is work.
  await expect(collect(inferql.submit(await paint(8), { caller: { tenant: 'alice' } }))).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    retryAfterMs: expect.any(Number),
  });
  expect((await submit('bob')).at(-1)).toMatchObject({ status: 'SUCCEEDED' });
  for (let i = 0; i < 3; i++) expect((await submit()).at(-1)).toMatchObject({ status: 'SUCCEEDED' });
  expect(() => createInferQL({ tenantLimits: 'lots' })).toThrow(/'tenantLimits' is "lots"\. Expected limits such as/);
});
