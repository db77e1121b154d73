// Huffman tables: code words to symbols.

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
