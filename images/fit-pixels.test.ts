import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { planCrop } from './crop.ts';
import { type FitRule, findSourceArea, fitPixels } from './fit-pixels.ts';
import { distanceOf, drawPixels, drawPixelsOnce, type GoldenAnswer } from './resize/golden/golden.fixture.ts';
import type { ResizeName } from './resize/resize-names.ts';
import { RESIZERS } from './resize/resizers.ts';

interface CropCase extends GoldenAnswer {
  rule: FitRule;
  from: [number, number];
}

/** torchvision may round halves the other way; canvas.ts describes a canvas. */
const BOUNDS: Record<string, number> = { torchvision: 1, canvas: 16 };

const folder = path.join(import.meta.dirname, 'resize/golden');

describe.each(['keras', 'opencv', 'torchvision', 'transformers', 'canvas'])('as the code of %s crops', (library) => {
  const { cases } = JSON.parse(readFileSync(path.join(folder, `${library}-crops.json`), 'utf8')) as {
    cases: CropCase[];
  };
  const rules = [...new Set(cases.map(({ rule }) => JSON.stringify(rule)))];
  test.each(rules)('%s', (rule) => {
    const same = cases.filter((one) => JSON.stringify(one.rule) === rule);
    const wrong = same.filter((one) => {
      const ours = fitPixels(drawPixelsOnce(...one.from, 3), one.rule);
      if (one.sha256 === undefined) return distanceOf(ours, one) > (BOUNDS[library] ?? 0.52);
      return createHash('sha256').update(ours).digest('hex') !== one.sha256;
    });
    expect(wrong.map(({ from }) => from.join('x'))).toEqual([]);
  });
});

test('grayscale becomes equal channels, and opaque', () => {
  const gray = drawPixels(30, 20, 1);
  const rule = { width: 10, height: 10, resize: 'pillow-bilinear' } as const;
  const one = fitPixels(gray, { ...rule, channels: 1 });
  expect([...fitPixels(gray, { ...rule, channels: 3 })]).toEqual([...one].flatMap((value) => [value, value, value]));
  expect([...fitPixels(gray, { ...rule, channels: 4 })]).toEqual(
    [...one].flatMap((value) => [value, value, value, 255]),
  );
});

test.each(['pillow', 'transformers', 'opencv', 'tensorflow', 'tfjs', 'torchvision', 'canvas'] as const)(
  'every rule of %s stays inside the image and the input, whatever their sizes',
  (library) => {
    const sides = [1, 2, 3, 7, 41, 256, 999, 20_000];
    for (const width of sides) {
      for (const height of sides) {
        for (const rule of [
          {},
          { shortSide: 64 },
          { stretchTo: 64 },
          { cover: true },
          { cropFraction: 0.3 },
          { cover: true, cropFraction: 0.3 },
          { padColor: '#ffffff' },
        ]) {
          const { from, size, part, at } = planCrop({ width, height }, { width: 64, height: 48, ...rule }, library);
          const numbers = [from, size, part, at].flatMap((area) => Object.values(area));
          expect(numbers.every((value) => Number.isInteger(value) && value >= 0)).toBe(true);
          expect(Math.min(from.width, from.height, part.width, part.height)).toBeGreaterThan(0);
          expect([from.left + from.width <= width, from.top + from.height <= height]).toEqual([true, true]);
          expect([part.left + part.width <= size.width, part.top + part.height <= size.height]).toEqual([true, true]);
          expect([at.left + part.width <= 64, at.top + part.height <= 48]).toEqual([true, true]);
        }
      }
    }
  },
);

test.each([
  'pillow-lanczos',
  'opencv-area',
  'tensorflow-bicubic-antialias',
  'torchvision-bicubic',
  'tensorflow-bilinear',
] as const)('%s bounds what an absurdly tall image costs', (resize) => {
  const height = 6_000_000;
  const data = new Uint8Array(height * 3).fill(200, 0, height).fill(40, height);
  const started = process.cpuUsage();
  const pixels = fitPixels({ data, width: 3, height, channels: 1 }, { width: 224, height: 224, channels: 3, resize });
  const { user, system } = process.cpuUsage(started);
  expect([pixels[0], pixels.at(-1)]).toEqual([200, 40]);
  expect(pixels).toHaveLength(224 * 224 * 3);
  // Without the bound it takes minutes.
  expect((user + system) / 1e6).toBeLessThan(10);
});

test.each(['pillow-lanczos', 'torchvision-bicubic', 'tensorflow-lanczos3-antialias'] as const)(
  '%s bounds what an absurdly wide image costs',
  (resize) => {
    const width = 20_000_000;
    const data = new Uint8Array(width * 3).fill(200, 0, (width / 2) * 3).fill(40, (width / 2) * 3);
    const rule = { width: 224, height: 224, channels: 3, resize } as const;
    const started = process.cpuUsage();
    const pixels = fitPixels({ data, width, height: 1, channels: 3 }, rule);
    const { user, system } = process.cpuUsage(started);
    expect([pixels[0], pixels.at(-1)]).toEqual([200, 40]);
    // Without the bound, more than 3 s and 1 GB of weights.
    expect((user + system) / 1e6).toBeLessThan(1.5);
  },
);

test('pixels outside of the source area change nothing, whatever the resize and the crop', () => {
  const crops: Partial<FitRule>[] = [
    {},
    { shortSide: 40 },
    { shortSide: 90 },
    { stretchTo: 80 },
    { cropFraction: 0.6 },
    { cover: true },
    { cover: true, cropFraction: 0.7 },
    { padColor: '#102030' },
    { padColor: '#102030', shortSide: 27 },
  ];
  const sizes = [
    [200, 150],
    [61, 300],
    [33, 20],
    [500, 41],
  ] as const;
  for (const [width, height] of sizes) {
    const source = drawPixels(width, height, 3);
    const inverted = source.data.map((value) => 255 - value);
    for (const resize of Object.keys(RESIZERS) as ResizeName[]) {
      for (const crop of crops) {
        const rule: FitRule = { width: 32, height: 24, channels: 3, resize, ...crop };
        const area = findSourceArea(source, rule);
        const data = inverted.slice();
        for (let y = area.top; y < area.top + area.height; y++) {
          const [start, end] = [area.left, area.left + area.width].map((x) => (y * width + x) * 3);
          data.set(source.data.subarray(start, end), start);
        }
        const changed = fitPixels({ ...source, data }, rule);
        expect(Buffer.compare(changed, fitPixels(source, rule)), `${resize} ${JSON.stringify(crop)} ${width}`).toBe(0);
      }
    }
  }
});

test('a cropped image needs a part of its source', () => {
  const rule: FitRule = { width: 224, height: 224, channels: 3, shortSide: 256, resize: 'pillow-bilinear' };
  const area = findSourceArea({ width: 500, height: 375 }, rule);
  expect((area.width * area.height) / (500 * 375)).toBeLessThan(0.7);
});
