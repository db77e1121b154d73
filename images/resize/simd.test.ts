import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileKernels } from './compile-kernels.fixture.ts';
import { copyTaps, resampleFixedScalar, toFixedTaps } from './fixed-point-resampling.ts';
import { KERNELS } from './kernels.wasm.ts';
import { PILLOW_FILTERS, pillowTaps } from './pillow.ts';
import { planRows } from './separable.ts';
import { resampleFixedSimd } from './simd.ts';

test('the committed kernels are what kernels.wat compiles to', async () => {
  expect(await compileKernels()).toBe(KERNELS);
});

describe('with SIMD', () => {
  const side = fc.integer({ min: 1, max: 90 });
  const filter = fc.constantFrom(...(Object.keys(PILLOW_FILTERS) as (keyof typeof PILLOW_FILTERS)[]));
  const channels = fc.constantFrom<3 | 4>(3, 4);

  test('every byte is the same as without', () => {
    fc.assert(
      fc.property(side, side, side, side, channels, filter, fc.infiniteStream(fc.nat(255)), (...given) => {
        const [width, height, toWidth, toHeight, channels, name, bytes] = given;
        const kernel = PILLOW_FILTERS[name];
        // Extremes overshoot most.
        const data = Uint8Array.from({ length: width * height * channels }, () => {
          const byte = bytes.next().value as number;
          return byte < 100 ? 0 : byte > 155 ? 255 : byte;
        });
        const taps = (from: number, to: number, bits: number) =>
          from === to
            ? copyTaps({ from: 0, length: to })
            : toFixedTaps(pillowTaps(kernel, from, 0, from, to, { from: 0, length: to }), bits);
        const columns = taps(width, toWidth, 22);
        const rows = taps(height, toHeight, 14);
        const pixels = { data, width, height, channels };
        const plan = planRows(rows);
        const simd = resampleFixedSimd(pixels, columns, rows, plan);
        expect(simd).toBeDefined();
        expect(Buffer.compare(simd as Uint8Array, resampleFixedScalar(pixels, columns, rows, plan))).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('grayscale pixels are left to the code without', () => {
    const pixels = { data: new Uint8Array(4), width: 2, height: 2, channels: 1 as const };
    const taps = copyTaps({ from: 0, length: 2 });
    expect(resampleFixedSimd(pixels, taps, taps, planRows(taps))).toBeUndefined();
  });
});
