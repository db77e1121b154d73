// The arithmetic of a sequential JPEG decoder, bit for bit as libjpeg-turbo's default (accurate integer DCT, triangle upsampling), in
// AssemblyScript with 128-bit SIMD. plain-jpeg.ts reads the headers and lays out the memory. Whatever is unusual or damaged returns a
// negative number: another decoder decides then. `compile-kernels.fixture.ts` compiles this file.

// ---- Huffman tables ----------------------------------------------------------------------------------------------------------------

/** Code words up to this length are looked up directly. */
const FAST_BITS: i32 = 10;
const FAST_SHIFT: u64 = 64 - FAST_BITS;
// Offsets in a table: (length << 8 | symbol) by the next bits; then, for AC, (value << 16 | run << 8 | length) if the coefficient is
// complete within them; then, for longer code words, the largest code and the index of the first symbol, by length; then the symbols.
const COEFFICIENTS: usize = 2048;
const MAX_CODES: usize = COEFFICIENTS + 4096;
const FIRST_SYMBOLS: usize = MAX_CODES + 72;
const SYMBOLS: usize = FIRST_SYMBOLS + 72;
/** Bytes of a table. */
const TABLE_BYTES: usize = SYMBOLS + 256;

/**
 * @param counts 16 bytes: code words per length. The symbols follow.
 * @returns 0; -1 if the code is not valid
 */
export function buildTable(counts: usize, table: usize): i32 {
  memory.fill(table, 0, TABLE_BYTES);
  const symbols = counts + 16;
  let code: i32 = 0;
  let index: i32 = 0;
  for (let length: i32 = 1; length <= 16; length++, code <<= 1) {
    const count = <i32>load<u8>(counts + length - 1);
    // No code word is all ones.
    if (index + count > 256 || code + count >= 1 << length) return -1;
    store<i32>(table + FIRST_SYMBOLS + (length << 2), index - code);
    for (let i: i32 = 0; i < count; i++, code++, index++) {
      const symbol = load<u8>(symbols + index);
      store<u8>(table + SYMBOLS + index, symbol);
      if (length > FAST_BITS) continue;
      const first = code << (FAST_BITS - length);
      const end = (code + 1) << (FAST_BITS - length);
      for (let at = first; at < end; at++) {
        store<u16>(table + (at << 1), <u16>((length << 8) | symbol));
        const size = symbol & 15;
        const total = length + size;
        if (size === 0 || total > FAST_BITS) continue;
        const bits = (at >> (FAST_BITS - total)) & ((1 << size) - 1);
        store<i32>(table + COEFFICIENTS + (at << 2), (extend(bits, size) << 16) | ((<i32>symbol >> 4) << 8) | total);
      }
    }
    store<i32>(table + MAX_CODES + (length << 2), count > 0 ? code - 1 : -1);
  }
  return 0;
}

/** A number of `size` bits as JPEG codes it: half of them are negative. */
// @ts-ignore: decorator
@inline
function extend(bits: i32, size: i32): i32 {
  return bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits;
}

// ---- Entropy-coded data ------------------------------------------------------------------------------------------------------------

/**
 * Removes the stuffed bytes of a scan, in place, up to the end marker.
 * @param segments receives the end of each segment between restart markers, in bytes from `at`
 * @returns the number of segments; -1 if there is another marker, or none, or restart markers are not in order
 */
export function unstuff(at: usize, end: usize, segments: usize, maxSegments: i32): i32 {
  const marks = i8x16.splat(-1);
  const start = at;
  let source = at;
  let target = at;
  let count: i32 = 0;
  while (source < end) {
    while (source + 16 <= end) {
      const bytes = v128.load(source);
      if (v128.any_true(i8x16.eq(bytes, marks))) break;
      v128.store(target, bytes);
      source += 16;
      target += 16;
    }
    // To behind the next mark, or to the end.
    while (source < end) {
      const byte = load<u8>(source++);
      if (byte !== 0xff) {
        store<u8>(target++, byte);
        continue;
      }
      if (source >= end) return -1;
      const next = load<u8>(source++);
      if (next === 0) {
        store<u8>(target++, 0xff);
        break;
      }
      const isEnd = next === 0xd9;
      const isRestart = (next & 0xf8) === 0xd0 && (next & 7) === (count & 7);
      if (!(isEnd || isRestart) || count === maxSegments) return -1;
      store<u32>(segments + (count++ << 2), <u32>(target - start));
      if (!isEnd) break;
      // Code words are looked up with more bits than the last one has.
      memory.fill(target, 0, 64);
      return count;
    }
  }
  return -1;
}

/** Unread bits, the next one highest; how many of them are valid; the next byte. */
let buffer: u64 = 0;
let valid: i32 = 0;
let position: usize = 0;

/** Offset in a block of each coefficient, in the order of the file. */
const ZIGZAG = memory.data<u8>([
  0, 2, 16, 32, 18, 4, 6, 20, 34, 48, 64, 50, 36, 22, 8, 10, 24, 38, 52, 66, 80, 96, 82, 68, 54, 40, 26, 12, 14, 28, 42, 56, 70, 84, 98,
  112, 114, 100, 86, 72, 58, 44, 30, 46, 60, 74, 88, 102, 116, 118, 104, 90, 76, 62, 78, 92, 106, 120, 122, 108, 94, 110, 124, 126,
]);
const BLOCK = memory.data(128, 16);
/** Samples of 8 bits need an eighth of this. Decoders differ in what they make of coefficients that overflow their 16 bits. */
const MAX_COEFFICIENT: i32 = 8191;

// @ts-ignore: decorator
@inline
function loadBig(at: usize): u64 {
  const bytes = v128.load64_zero(at);
  return <u64>i64x2.extract_lane(i8x16.shuffle(bytes, bytes, 7, 6, 5, 4, 3, 2, 1, 0, 7, 6, 5, 4, 3, 2, 1, 0), 0);
}

/** A code word longer than FAST_BITS. @returns length << 8 | symbol; -1 if there is none */
function findLongCode(table: usize, next: i32): i32 {
  for (let length: i32 = FAST_BITS + 1; length <= 16; length++) {
    const code = next >> (16 - length);
    if (code > load<i32>(table + MAX_CODES + (length << 2))) continue;
    const index = code + load<i32>(table + FIRST_SYMBOLS + (length << 2));
    return (length << 8) | <i32>load<u8>(table + SYMBOLS + index);
  }
  return -1;
}

/**
 * Reads one block's coefficients into BLOCK, dequantized; BLOCK has to be zero.
 * @param quant 64 numbers of 16 bits in the order of the file
 * @param lastDc of the component
 * @returns the index of the last coefficient that was read; -1 if the data is invalid
 */
function readBlock(dc: usize, ac: usize, quant: usize, lastDc: usize): i32 {
  let bits = buffer;
  let count = valid;
  let at = position;
  bits |= loadBig(at) >> <u64>count;
  at += (63 - count) >> 3;
  count |= 56;

  let found = <i32>load<u16>(dc + (<usize>(bits >> FAST_SHIFT) << 1));
  if (found === 0) {
    found = findLongCode(dc, <i32>(bits >> 48));
    if (found < 0) return -1;
  }
  bits <<= <u64>(found >> 8);
  count -= found >> 8;
  let value = load<i32>(lastDc);
  const dcSize = found & 255;
  if (dcSize > 0) {
    if (dcSize > 15) return -1;
    value += extend(<i32>(bits >> <u64>(64 - dcSize)), dcSize);
    bits <<= <u64>dcSize;
    count -= dcSize;
    store<i32>(lastDc, value);
  }
  value *= <i32>load<u16>(quant);
  store<i16>(BLOCK, <i16>value);

  let last: i32 = 0;
  let magnitudes = value ^ (value >> 31);
  for (let k: i32 = 1; k < 64; k++) {
    if (count < 32) {
      bits |= loadBig(at) >> <u64>count;
      at += (63 - count) >> 3;
      count |= 56;
    }
    const next = <usize>(bits >> FAST_SHIFT);
    const coefficient = load<i32>(ac + (next << 2), COEFFICIENTS);
    if (coefficient !== 0) {
      k += (coefficient >> 8) & 15;
      if (k > 63) return -1;
      const used = coefficient & 255;
      bits <<= <u64>used;
      count -= used;
      value = coefficient >> 16;
    } else {
      found = <i32>load<u16>(ac + (next << 1));
      if (found === 0) {
        found = findLongCode(ac, <i32>(bits >> 48));
        if (found < 0) return -1;
      }
      bits <<= <u64>(found >> 8);
      count -= found >> 8;
      const size = found & 15;
      const run = (found >> 4) & 15;
      if (size === 0) {
        if (run !== 15) {
          if (run !== 0) return -1;
          break;
        }
        k += 15;
        // The run may not reach behind the block.
        if (k > 63) return -1;
        continue;
      }
      k += run;
      if (k > 63) return -1;
      value = extend(<i32>(bits >> <u64>(64 - size)), size);
      bits <<= <u64>size;
      count -= size;
    }
    value *= <i32>load<u16>(quant + (k << 1));
    magnitudes |= value ^ (value >> 31);
    store<i16>(BLOCK + load<u8>(ZIGZAG + k), <i16>value);
    last = k;
  }
  if (magnitudes > MAX_COEFFICIENT) return -1;
  buffer = bits;
  valid = count;
  position = at;
  return last;
}

// ---- Inverse DCT -------------------------------------------------------------------------------------------------------------------
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

// ---- Scan --------------------------------------------------------------------------------------------------------------------------

// Offsets in the description of a component: 32-bit numbers.
const ACROSS: usize = 0;
const DOWN: usize = 4;
const DC_TABLE: usize = 8;
const AC_TABLE: usize = 12;
const QUANT: usize = 16;
const PLANE: usize = 20;
const PITCH: usize = 24;
const LAST_DC: usize = 28;
// The blocks whose pixels are wanted.
const LEFT: usize = 32;
const TOP: usize = 36;
const RIGHT: usize = 40;
const BOTTOM: usize = 44;
const COMPONENT_BYTES: usize = 48;

/**
 * Decodes a scan of all components to planes of 8-bit samples, without the blocks outside of the wanted part.
 * @param data the scan without stuffed bytes
 * @param segments their ends in it
 * @returns 0; -1 if the data is invalid, too short or too long
 */
export function decodeScan(
  components: usize,
  count: i32,
  unitsAcross: i32,
  unitsDown: i32,
  data: usize,
  segments: usize,
  segmentCount: i32,
  restartInterval: i32,
): i32 {
  const componentsEnd = components + <usize>count * COMPONENT_BYTES;
  let segment: i32 = 0;
  let unitsLeft = restartInterval > 0 ? restartInterval : i32.MAX_VALUE;
  let end = data + load<u32>(segments);
  // An invalid block may have been left in it.
  clearBlock();
  beginSegment(data, components, componentsEnd);
  for (let unitY: i32 = 0; unitY < unitsDown; unitY++) {
    for (let unitX: i32 = 0; unitX < unitsAcross; unitX++) {
      if (unitsLeft === 0) {
        if (!isAtEnd(end) || ++segment >= segmentCount) return -1;
        unitsLeft = restartInterval;
        beginSegment(end, components, componentsEnd);
        end = data + load<u32>(segments + (segment << 2));
      }
      unitsLeft--;
      for (let component = components; component < componentsEnd; component += COMPONENT_BYTES) {
        const across = load<i32>(component, ACROSS);
        const down = load<i32>(component, DOWN);
        const pitch = <usize>load<u32>(component, PITCH);
        const dc = <usize>load<u32>(component, DC_TABLE);
        const ac = <usize>load<u32>(component, AC_TABLE);
        const quant = <usize>load<u32>(component, QUANT);
        for (let y = unitY * down; y < (unitY + 1) * down; y++) {
          const isRowWanted = y >= load<i32>(component, TOP) && y < load<i32>(component, BOTTOM);
          for (let x = unitX * across; x < (unitX + 1) * across; x++) {
            const last = readBlock(dc, ac, quant, component + LAST_DC);
            if (last < 0) return -1;
            if (isRowWanted && x >= load<i32>(component, LEFT) && x < load<i32>(component, RIGHT)) {
              const target = <usize>load<u32>(component, PLANE) + <usize>(y << 3) * pitch + <usize>(x << 3);
              if (last === 0) writeFlatBlock(target, pitch);
              else writeBlock(target, pitch);
            }
            if (last === 0) store<i16>(BLOCK, 0);
            else clearBlock();
          }
        }
      }
      if (position > end + 8) return -1;
    }
  }
  return isAtEnd(end) && segment === segmentCount - 1 ? 0 : -1;
}

function beginSegment(at: usize, components: usize, componentsEnd: usize): void {
  buffer = 0;
  valid = 0;
  position = at;
  for (let component = components; component < componentsEnd; component += COMPONENT_BYTES) {
    store<i32>(component, 0, LAST_DC);
  }
}

/** Whether all bytes were read, at most some bits of the last one not. */
function isAtEnd(end: usize): bool {
  return position - <usize>(valid >> 3) === end;
}

// ---- Colors ------------------------------------------------------------------------------------------------------------------------

/**
 * One row of twice as many samples, weighted 3 to 1 by distance: fancy upsampling.
 * @param near the row of samples; `far`: the next nearest row, 0 if rows are not upsampled
 * @param length samples of the row; those outside of `from` to `to` are not computed
 * @param sums room for them as 16-bit numbers, and 8 more on both sides
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
 * @param room for three rows: sums of 16 bits, upsampled blue and red
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
  room: usize,
  target: usize,
): void {
  const sums = room + 32;
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
