// Entropy-coded data: bytes to coefficients of a block.

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
