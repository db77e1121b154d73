/**
 * Whether the code words of a GIF frame (LZW, GIF89a appendix F) give all of its pixels. The decoder leaves missing pixels empty and does not report them.
 * Only lengths are followed, so each code word costs the same.
 * @param at offset of the byte with the code size, before the frame's data blocks
 * @returns false if a code word is unknown, or the data does not end where the pixels do
 */
export function hasAllPixels(file: Buffer, at: number, pixels: number): boolean {
  const rootBits = file[at];
  if (rootBits === undefined || rootBits < 1 || rootBits > 11) return false;
  const clear = 1 << rootBits;
  const lengths = new Uint32Array(4_096).fill(1, 0, clear);
  const end = clear + 1;
  let next = end + 1;
  let bits = rootBits + 1;
  let previous = -1;
  let left = pixels;
  let block = at + 1;
  let position = block + 1;
  let blockEnd = position + (file[block] ?? 0);
  let buffer = 0;
  let count = 0;
  /** -1 after the data. */
  const readCode = () => {
    while (count < bits) {
      if (position >= blockEnd) {
        block = blockEnd;
        position = block + 1;
        blockEnd = position + (file[block] ?? 0);
        if (blockEnd === position || blockEnd > file.length) return -1;
      }
      buffer |= file[position++]! << count;
      count += 8;
    }
    const code = buffer & ((1 << bits) - 1);
    buffer >>>= bits;
    count -= bits;
    return code;
  };
  while (left > 0) {
    const code = readCode();
    if (code === clear) {
      next = end + 1;
      bits = rootBits + 1;
      previous = -1;
      continue;
    }
    if (code < 0 || code === end) return false;
    if (previous >= 0 && next < 4_096) {
      lengths[next] = lengths[previous]! + 1;
      next++;
      if (next === 1 << bits && bits < 12) bits++;
    }
    if (code >= next) return false;
    left -= lengths[code]!;
    previous = code;
  }
  // Some encoders omit the end code, and zeros fill the last byte. Anything else there means that earlier code words were wrong.
  const before = position;
  const last = readCode();
  const isPadding = last === 0 && buffer === 0 && position === before && position === blockEnd && !file[blockEnd];
  return left === 0 && (last === end || last === clear || last < 0 || isPadding);
}
