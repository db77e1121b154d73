// Inverse DCT: coefficients of a block to its pixels.
// Loeffler, Ligtenberg and Moschytz, in the fixed point of libjpeg's jidctint: constants of 13 bits, 2 more bits between the passes.

// @ts-ignore: decorator
@inline
function pair(a: i16, b: i16): v128 {
  return i32x4.splat((<i32>b << 16) | (<i32>a & 0xffff));
}

// @ts-ignore: decorator
@inline
function low(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

// @ts-ignore: decorator
@inline
function high(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

// @ts-ignore: decorator
@inline
function round(a: v128, b: v128, half: v128, shift: i32): v128 {
  return i16x8.narrow_i32x4_s(i32x4.shr_s(i32x4.add(a, half), shift), i32x4.shr_s(i32x4.add(b, half), shift));
}

/** One pass over BLOCK's columns; the result is transposed. */
// @ts-ignore: decorator
@inline
function transformColumns(shift: i32): void {
  const half = i32x4.splat(1 << (shift - 1));
  const in0 = v128.load(BLOCK, 0);
  const in1 = v128.load(BLOCK, 16);
  const in2 = v128.load(BLOCK, 32);
  const in3 = v128.load(BLOCK, 48);
  const in4 = v128.load(BLOCK, 64);
  const in5 = v128.load(BLOCK, 80);
  const in6 = v128.load(BLOCK, 96);
  const in7 = v128.load(BLOCK, 112);

  // Even part. 4433: 0.541196100, 6270: 0.765366865, 15137: 1.847759065.
  const even = pair(4433 + 6270, 4433);
  const evenTurned = pair(4433, 4433 - 15137);
  const in26Low = low(in2, in6);
  const in26High = high(in2, in6);
  const sum = i16x8.add(in0, in4);
  const difference = i16x8.sub(in0, in4);
  const sumLow = i32x4.shl(i32x4.extend_low_i16x8_s(sum), 13);
  const sumHigh = i32x4.shl(i32x4.extend_high_i16x8_s(sum), 13);
  const differenceLow = i32x4.shl(i32x4.extend_low_i16x8_s(difference), 13);
  const differenceHigh = i32x4.shl(i32x4.extend_high_i16x8_s(difference), 13);
  const t3Low = i32x4.dot_i16x8_s(in26Low, even);
  const t3High = i32x4.dot_i16x8_s(in26High, even);
  const t2Low = i32x4.dot_i16x8_s(in26Low, evenTurned);
  const t2High = i32x4.dot_i16x8_s(in26High, evenTurned);
  const e0Low = i32x4.add(sumLow, t3Low);
  const e0High = i32x4.add(sumHigh, t3High);
  const e3Low = i32x4.sub(sumLow, t3Low);
  const e3High = i32x4.sub(sumHigh, t3High);
  const e1Low = i32x4.add(differenceLow, t2Low);
  const e1High = i32x4.add(differenceHigh, t2High);
  const e2Low = i32x4.sub(differenceLow, t2Low);
  const e2High = i32x4.sub(differenceHigh, t2High);

  // Odd part. 9633: 1.175875602, 16069: 1.961570560, 3196: 0.390180644, 2446: 0.298631336, 7373: 0.899976223, 16819: 2.053119869,
  // 20995: 2.562915447, 25172: 3.072711026, 12299: 1.501321110.
  const z3 = i16x8.add(in7, in3);
  const z4 = i16x8.add(in5, in1);
  const zLow = low(z3, z4);
  const zHigh = high(z3, z4);
  const z3Weights = pair(9633 - 16069, 9633);
  const z4Weights = pair(9633, 9633 - 3196);
  const z3Low = i32x4.dot_i16x8_s(zLow, z3Weights);
  const z3High = i32x4.dot_i16x8_s(zHigh, z3Weights);
  const z4Low = i32x4.dot_i16x8_s(zLow, z4Weights);
  const z4High = i32x4.dot_i16x8_s(zHigh, z4Weights);
  const in71Low = low(in7, in1);
  const in71High = high(in7, in1);
  const in53Low = low(in5, in3);
  const in53High = high(in5, in3);
  const o0 = pair(2446 - 7373, -7373);
  const o3 = pair(-7373, 12299 - 7373);
  const o1 = pair(16819 - 20995, -20995);
  const o2 = pair(-20995, 25172 - 20995);
  const o0Low = i32x4.add(i32x4.dot_i16x8_s(in71Low, o0), z3Low);
  const o0High = i32x4.add(i32x4.dot_i16x8_s(in71High, o0), z3High);
  const o3Low = i32x4.add(i32x4.dot_i16x8_s(in71Low, o3), z4Low);
  const o3High = i32x4.add(i32x4.dot_i16x8_s(in71High, o3), z4High);
  const o1Low = i32x4.add(i32x4.dot_i16x8_s(in53Low, o1), z4Low);
  const o1High = i32x4.add(i32x4.dot_i16x8_s(in53High, o1), z4High);
  const o2Low = i32x4.add(i32x4.dot_i16x8_s(in53Low, o2), z3Low);
  const o2High = i32x4.add(i32x4.dot_i16x8_s(in53High, o2), z3High);

  const r0 = round(i32x4.add(e0Low, o3Low), i32x4.add(e0High, o3High), half, shift);
  const r7 = round(i32x4.sub(e0Low, o3Low), i32x4.sub(e0High, o3High), half, shift);
  const r1 = round(i32x4.add(e1Low, o2Low), i32x4.add(e1High, o2High), half, shift);
  const r6 = round(i32x4.sub(e1Low, o2Low), i32x4.sub(e1High, o2High), half, shift);
  const r2 = round(i32x4.add(e2Low, o1Low), i32x4.add(e2High, o1High), half, shift);
  const r5 = round(i32x4.sub(e2Low, o1Low), i32x4.sub(e2High, o1High), half, shift);
  const r3 = round(i32x4.add(e3Low, o0Low), i32x4.add(e3High, o0High), half, shift);
  const r4 = round(i32x4.sub(e3Low, o0Low), i32x4.sub(e3High, o0High), half, shift);

  // Transpose: lanes of 16 bits, then of 32, then of 64.
  const a0 = low(r0, r1);
  const a1 = high(r0, r1);
  const a2 = low(r2, r3);
  const a3 = high(r2, r3);
  const a4 = low(r4, r5);
  const a5 = high(r4, r5);
  const a6 = low(r6, r7);
  const a7 = high(r6, r7);
  const b0 = i32x4.shuffle(a0, a2, 0, 4, 1, 5);
  const b1 = i32x4.shuffle(a0, a2, 2, 6, 3, 7);
  const b2 = i32x4.shuffle(a1, a3, 0, 4, 1, 5);
  const b3 = i32x4.shuffle(a1, a3, 2, 6, 3, 7);
  const b4 = i32x4.shuffle(a4, a6, 0, 4, 1, 5);
  const b5 = i32x4.shuffle(a4, a6, 2, 6, 3, 7);
  const b6 = i32x4.shuffle(a5, a7, 0, 4, 1, 5);
  const b7 = i32x4.shuffle(a5, a7, 2, 6, 3, 7);
  v128.store(BLOCK, i64x2.shuffle(b0, b4, 0, 2), 0);
  v128.store(BLOCK, i64x2.shuffle(b0, b4, 1, 3), 16);
  v128.store(BLOCK, i64x2.shuffle(b1, b5, 0, 2), 32);
  v128.store(BLOCK, i64x2.shuffle(b1, b5, 1, 3), 48);
  v128.store(BLOCK, i64x2.shuffle(b2, b6, 0, 2), 64);
  v128.store(BLOCK, i64x2.shuffle(b2, b6, 1, 3), 80);
  v128.store(BLOCK, i64x2.shuffle(b3, b7, 0, 2), 96);
  v128.store(BLOCK, i64x2.shuffle(b3, b7, 1, 3), 112);
}

function clearBlock(): void {
  const zeros = i64x2.splat(0);
  v128.store(BLOCK, zeros, 0);
  v128.store(BLOCK, zeros, 16);
  v128.store(BLOCK, zeros, 32);
  v128.store(BLOCK, zeros, 48);
  v128.store(BLOCK, zeros, 64);
  v128.store(BLOCK, zeros, 80);
  v128.store(BLOCK, zeros, 96);
  v128.store(BLOCK, zeros, 112);
}

/** Writes BLOCK as 8 x 8 pixels. */
function writeBlock(target: usize, pitch: usize): void {
  transformColumns(11);
  transformColumns(18);
  const center = i8x16.splat(-128);
  for (let row: usize = 0; row < 8; row += 2, target += pitch << 1) {
    const from = BLOCK + (row << 4);
    const pixels = v128.xor(i8x16.narrow_i16x8_s(v128.load(from), v128.load(from, 16)), center);
    v128.store64_lane(target, pixels, 0);
    v128.store64_lane(target + pitch, pixels, 1);
  }
}

/** The same if only the first coefficient is not zero. */
function writeFlatBlock(target: usize, pitch: usize): void {
  const value = (<i32>(<i16>(load<i16>(BLOCK) << 2)) + 16) >> 5;
  const pixel = <u8>(min(max(value, -128), 127) + 128);
  const pixels = i8x16.splat(<i8>pixel);
  for (let row: i32 = 0; row < 8; row++, target += pitch) v128.store64_lane(target, pixels, 0);
}
