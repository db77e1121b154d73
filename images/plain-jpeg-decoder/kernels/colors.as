// Colors: upsampled planes to RGB.

/**
 * One row of twice as many samples, weighted 3 to 1 by distance: fancy upsampling.
 * @param near the row of samples; `far`: the next nearest row, 0 if rows are not upsampled
 * @param length samples of the row; those outside of `from` to `to` are not computed
 * @param sums memory for them as 16-bit numbers, and 8 more on both sides
 */
function upsampleRow(near: usize, far: usize, length: i32, from: i32, to: i32, sums: usize, target: usize): void {
  const first = max(from - 1, 0);
  const end = min(to + 1, length);
  for (let i = first; i < end; i += 8) {
    let values = i16x8.extend_low_i8x16_u(v128.load64_zero(near + i));
    if (far !== 0) {
      const others = i16x8.extend_low_i8x16_u(v128.load64_zero(far + i));
      values = i16x8.add(i16x8.add(values, i16x8.shl(values, 1)), others);
    }
    v128.store(sums + (i << 1), values);
  }
  store<u16>(sums - 2, load<u16>(sums));
  if (end === length) store<u16>(sums + (length << 1), load<u16>(sums + ((length - 1) << 1)));
  const shift: i32 = far !== 0 ? 4 : 2;
  const evenHalf = i16x8.splat(far !== 0 ? 8 : 1);
  const oddHalf = i16x8.splat(far !== 0 ? 7 : 2);
  for (let i = from; i < to; i += 8) {
    const at = sums + (i << 1);
    const here = v128.load(at);
    const triple = i16x8.add(here, i16x8.shl(here, 1));
    const even = i16x8.shr_u(i16x8.add(i16x8.add(triple, v128.load(at - 2)), evenHalf), shift);
    const odd = i16x8.shr_u(i16x8.add(i16x8.add(triple, v128.load(at + 2)), oddHalf), shift);
    v128.store(target + (i << 1), v128.or(even, i16x8.shl(odd, 8)));
  }
}

/** Pixels `from` to `to` of a row, and up to 15 more, as RGB. */
function convertRow(luma: usize, blue: usize, red: usize, from: i32, to: i32, target: usize): void {
  const center = i16x8.splat(128);
  const greenWeights = pair(-22554, 18734);
  const half = i32x4.splat(32768);
  for (let x = from; x < to; x += 16) {
    const y = v128.load(luma + x);
    const cb = v128.load(blue + x);
    const cr = v128.load(red + x);
    const yLow = i16x8.extend_low_i8x16_u(y);
    const yHigh = i16x8.extend_high_i8x16_u(y);
    const cbLow = i16x8.sub(i16x8.extend_low_i8x16_u(cb), center);
    const cbHigh = i16x8.sub(i16x8.extend_high_i8x16_u(cb), center);
    const crLow = i16x8.sub(i16x8.extend_low_i8x16_u(cr), center);
    const crHigh = i16x8.sub(i16x8.extend_high_i8x16_u(cr), center);
    const r = i8x16.narrow_i16x8_u(addRed(yLow, crLow), addRed(yHigh, crHigh));
    const b = i8x16.narrow_i16x8_u(addBlue(yLow, cbLow), addBlue(yHigh, cbHigh));
    const g = i8x16.narrow_i16x8_u(
      addGreen(yLow, cbLow, crLow, greenWeights, half),
      addGreen(yHigh, cbHigh, crHigh, greenWeights, half),
    );
    const rgLow = i8x16.shuffle(r, g, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const rgHigh = i8x16.shuffle(r, g, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const rgMiddle = i8x16.shuffle(rgLow, rgHigh, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 0, 0, 0, 0, 0);
    const to = target + <usize>x * 3;
    v128.store(to, i8x16.shuffle(rgLow, b, 0, 1, 16, 2, 3, 17, 4, 5, 18, 6, 7, 19, 8, 9, 20, 10), 0);
    v128.store(to, i8x16.shuffle(rgMiddle, b, 0, 21, 1, 2, 22, 3, 4, 23, 5, 6, 24, 7, 8, 25, 9, 10), 16);
    v128.store(to, i8x16.shuffle(rgHigh, b, 26, 6, 7, 27, 8, 9, 28, 10, 11, 29, 12, 13, 30, 14, 15, 31), 32);
  }
}

// The factors of ITU-R BT.601 in 16 bits; the whole part is added separately, and q15mulr halves both sides. 13173 instead of 13172.5
// gives the same result for each of the 256 values, which a test checks.

/** y + 1.402 cr */
// @ts-ignore: decorator
@inline
function addRed(y: v128, cr: v128): v128 {
  return i16x8.add(i16x8.add(y, cr), i16x8.q15mulr_sat_s(cr, i16x8.splat(13173)));
}

/** y + 1.772 cb */
// @ts-ignore: decorator
@inline
function addBlue(y: v128, cb: v128): v128 {
  return i16x8.add(i16x8.add(y, i16x8.shl(cb, 1)), i16x8.q15mulr_sat_s(cb, i16x8.splat(-7471)));
}

/** y - 0.34414 cb - 0.71414 cr */
// @ts-ignore: decorator
@inline
function addGreen(y: v128, cb: v128, cr: v128, weights: v128, half: v128): v128 {
  const lowSum = i32x4.add(i32x4.dot_i16x8_s(low(cb, cr), weights), half);
  const highSum = i32x4.add(i32x4.dot_i16x8_s(high(cb, cr), weights), half);
  const part = i16x8.narrow_i32x4_s(i32x4.shr_s(lowSum, 16), i32x4.shr_s(highSum, 16));
  return i16x8.add(i16x8.sub(y, cr), part);
}

/**
 * The wanted part of the planes as RGB.
 * @param chromaWidth samples per row of the two chroma planes; `across`, `down`: pixels per sample, 1 or 2
 * @param rowBuffer memory for three rows: sums of 16 bits, upsampled blue and red
 * @param target all rows of the image, of which the wanted part is written, and up to 45 bytes behind it
 */
export function convertPlanes(
  luma: usize,
  lumaPitch: usize,
  blue: usize,
  red: usize,
  chromaPitch: usize,
  chromaWidth: i32,
  chromaHeight: i32,
  across: i32,
  down: i32,
  left: i32,
  top: i32,
  right: i32,
  bottom: i32,
  width: i32,
  rowBuffer: usize,
  target: usize,
): void {
  const sums = rowBuffer + 32;
  const wideBlue = sums + (<usize>chromaWidth << 1) + 64;
  const wideRed = wideBlue + (<usize>chromaWidth << 1) + 64;
  for (let y = top; y < bottom; y++) {
    const row = <usize>(down === 2 ? y >> 1 : y) * chromaPitch;
    let rowBlue = blue + row;
    let rowRed = red + row;
    if (across === 2) {
      let farBlue: usize = 0;
      let farRed: usize = 0;
      if (down === 2) {
        const farRow = <usize>min(max((y >> 1) + ((y & 1) !== 0 ? 1 : -1), 0), chromaHeight - 1) * chromaPitch;
        farBlue = blue + farRow;
        farRed = red + farRow;
      }
      const from = left >> 1;
      const to = min((right + 1) >> 1, chromaWidth);
      upsampleRow(rowBlue, farBlue, chromaWidth, from, to, sums, wideBlue);
      upsampleRow(rowRed, farRed, chromaWidth, from, to, sums, wideRed);
      rowBlue = wideBlue;
      rowRed = wideRed;
    }
    convertRow(luma + <usize>y * lumaPitch, rowBlue, rowRed, left, right, target + <usize>y * <usize>width * 3);
  }
}
