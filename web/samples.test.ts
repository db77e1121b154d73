import { afterEach, expect, test, vi } from 'vitest';
import { fetchSample, SAMPLES } from './samples.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

const [sample] = SAMPLES;

function answer(type: string, status: number) {
  vi.stubGlobal('fetch', async () => new Response('bytes', { status, headers: { 'content-type': type } }));
}

test('a sample is a file with the name and type of the image', async () => {
  answer('image/png', 200);
  expect(await fetchSample(sample!)).toMatchObject({ name: sample!.name, type: 'image/png' });
});

test.each([
  ['text/html', 502],
  ['text/html', 200],
  ['image/png', 401],
])("another answer (%s, %i) is not taken for the sample's image", async (type, status) => {
  answer(type, status);
  await expect(fetchSample(sample!)).rejects.toThrow(`${sample!.name} could not be loaded.`);
});
