import sharp from 'sharp';
import { expect, test } from 'vitest';
import { renderHeatmap } from './render-heatmap.ts';

async function decode(uri: string) {
  expect(uri).toMatch(/^data:image\/png;base64,/);
  const png = Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64');
  const { data, info } = await sharp(png).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  const pixelAt = (x: number, y: number) => [...data.subarray((y * info.width + x) * 4, (y * info.width + x) * 4 + 4)];
  return { width: info.width, height: info.height, pixelAt };
}

test('cold is a transparent blue, warm green to yellow, hot red', async () => {
  const { pixelAt } = await decode(await renderHeatmap({ width: 1, height: 1, values: [0] }));
  expect(pixelAt(0, 0)).toEqual([0, 0, 128, 0]);
  const warm = await decode(await renderHeatmap({ width: 1, height: 1, values: [0.5] }));
  for (const [channel, value] of [128, 255, 128, 90].entries()) {
    expect(Math.abs(warm.pixelAt(5, 5)[channel]! - value)).toBeLessThan(3);
  }
  const hot = await decode(await renderHeatmap({ width: 1, height: 1, values: [1] }));
  expect(hot.pixelAt(111, 111)).toEqual([128, 0, 0, 180]);
});

test('a map keeps its shape and orientation, with the values in the middle of their squares', async () => {
  const { width, height, pixelAt } = await decode(
    await renderHeatmap({ width: 3, height: 2, values: [0, 0, 1, 0, 0, 0] }),
  );
  expect([width, height]).toEqual([3 * 56, 2 * 56]);
  const opacityAt = (column: number, row: number) => pixelAt(column * 56 + 28, row * 56 + 28)[3]!;
  expect(opacityAt(2, 0)).toBeGreaterThan(170);
  for (const [column, row] of [
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
    [2, 1],
  ] as const) {
    expect(opacityAt(column, row)).toBeLessThan(12);
  }
  expect(pixelAt(167, 0)[3]).toBeGreaterThan(170);
});

test('between the middles of the squares an even slope stays even', async () => {
  const values = Array.from({ length: 7 * 5 }, (_, at) => (at % 7) / 6);
  const { width, pixelAt } = await decode(await renderHeatmap({ width: 7, height: 5, values }));
  const square = width / 7;
  for (let x = 2 * square; x < 5 * square; x++) {
    const heat = ((x + 0.5) / square - 0.5) / 6;
    for (const y of [0, 40, 114]) expect(Math.abs(pixelAt(x, y)[3]! - 180 * heat)).toBeLessThan(1.5);
  }
});

test('a map that is larger than the image need be is drawn unchanged', async () => {
  const values = Array.from({ length: 120 * 130 }, (_, at) => (at % 120) / 119);
  expect(await decode(await renderHeatmap({ width: 120, height: 130, values }))).toMatchObject({
    width: 120,
    height: 130,
  });
});
