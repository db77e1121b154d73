import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { distanceOf, drawPixelsOnce, type GoldenAnswer } from './golden/golden.fixture.ts';
import { cutPixels } from './pixels.ts';
import type { ResizeName } from './resize-names.ts';
import { RESIZERS } from './resizers.ts';

interface GoldenCase extends GoldenAnswer {
  resize: ResizeName;
  from: [number, number];
  to: [number, number];
  channels: 1 | 3 | 4;
}

const folder = path.join(import.meta.dirname, 'golden');

/** The cases of a library by the name of the resize. */
function readGolden(library: string): [ResizeName, GoldenCase[]][] {
  const { cases } = JSON.parse(readFileSync(path.join(folder, `${library}.json`), 'utf8')) as { cases: GoldenCase[] };
  const names = [...new Set(cases.map(({ resize }) => resize))];
  return names.map((name) => [name, cases.filter(({ resize }) => resize === name)]);
}

function resize({ resize, from, to, channels }: GoldenCase): Uint8Array {
  const [width, height] = to;
  return RESIZERS[resize](drawPixelsOnce(...from, channels), { width, height }, { left: 0, top: 0, width, height });
}

const nameOf = ({ from, to, channels }: GoldenCase) => `${from.join('x')} -> ${to.join('x')}, ${channels}`;

/** Transformers resizes with Pillow. Its crops differ, which ../fit-pixels.test.ts compares. */
function readTransformers(): [ResizeName, GoldenCase[]][] {
  return readGolden('pillow').map(([name, cases]) => {
    const resize = name.replace('pillow-', 'transformers-') as ResizeName;
    return [resize, cases.map((one) => ({ ...one, resize }))];
  });
}

const golden = [
  ...['pillow', 'pillow11', 'opencv', 'torchvision', 'tensorflow', 'canvas'].flatMap(readGolden),
  ...readTransformers(),
];

test('every name is compared with its library', () => {
  const compared: string[] = golden.filter(([, cases]) => cases.length > 0).map(([name]) => name);
  expect(Object.keys(RESIZERS).filter((name) => !compared.includes(name) && !name.startsWith('tfjs-'))).toEqual([]);
});

describe('bit for bit', () => {
  test.each(golden.filter(([, cases]) => cases[0]?.sha256))('%s', (_, cases) => {
    const digest = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
    expect(cases.filter((one) => digest(resize(one)) !== one.sha256).map(nameOf)).toEqual([]);
  });
});

describe('rounded from floating point', () => {
  test.each(golden.filter(([, cases]) => !cases[0]?.sha256))('%s', (name, cases) => {
    // The library may round halves the other way. Samples are in 64ths.
    const bound = name.startsWith('tensorflow') ? 0.51 : 1;
    const far = cases.map((one) => ({ what: nameOf(one), distance: distanceOf(resize(one), one) }));
    expect(far.filter(({ distance }) => distance > bound)).toEqual([]);
  });
});

describe('as the installed TensorFlow.js, rounded', () => {
  const options = {
    '': [false, false],
    '-align-corners': [true, false],
    '-half-pixel-centers': [false, true],
  } as const;
  const sizes = golden.find(([name]) => name === 'pillow-bilinear')?.[1] ?? [];
  for (const [suffix, [alignCorners, halfPixelCenters]] of Object.entries(options)) {
    for (const kind of ['bilinear', 'nearest'] as const) {
      test(`tfjs-${kind}${suffix}`, () => {
        const run = kind === 'bilinear' ? tf.image.resizeBilinear : tf.image.resizeNearestNeighbor;
        expect(sizes).not.toEqual([]);
        for (const one of sizes) {
          const { data, ...source } = drawPixelsOnce(...one.from, one.channels);
          const pixels = tf.tensor3d(data, [source.height, source.width, source.channels], 'float32');
          // Not in `tidy`, which looks for tensors in what it returns, value by value.
          const resized = run(pixels, [one.to[1], one.to[0]], alignCorners, halfPixelCenters);
          const values = resized.dataSync();
          const ours = resize({ ...one, resize: `tfjs-${kind}${suffix}` as ResizeName });
          const largest = ours.reduce((worst, byte, i) => Math.max(worst, Math.abs(byte - values[i]!)), 0);
          expect({ what: nameOf(one), isNear: largest <= 0.51 }).toEqual({ what: nameOf(one), isNear: true });
          tf.dispose([pixels, resized]);
        }
      });
    }
  }
});

test.each(Object.keys(RESIZERS) as ResizeName[])('%s gives a part of the result as the whole has it', (name) => {
  for (const [from, to] of [
    [
      { width: 90, height: 70 },
      { width: 61, height: 37 },
    ],
    [
      { width: 40, height: 30 },
      { width: 95, height: 80 },
    ],
  ] as const) {
    const source = drawPixelsOnce(from.width, from.height, 3);
    const whole = RESIZERS[name](source, to, { left: 0, top: 0, ...to });
    const part = { left: 11, top: 5, width: 40, height: 23 };
    const cut = cutPixels({ data: whole, ...to, channels: 3 }, part).data;
    expect(Buffer.compare(RESIZERS[name](source, to, part), cut)).toBe(0);
  }
});
