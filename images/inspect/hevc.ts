/** HEVC streams inside HEIF (ISO/IEC 14496-15, ITU-T H.265), whose decoder conceals damage: what can be seen without decoding. */

const CONFIG_BYTES = 23;
const HEADER_BYTES = 2;
/** Types from here on are reserved or private, and decoders skip them. */
const FIRST_UNSPECIFIED = 41;
const SLICES_BELOW = 32;
const ESCAPED = Buffer.from([0, 0]);

/**
 * Whether a picture's stream can be intact: its units fill it exactly, and hold no bytes that HEVC forbids, such as three zeros. A lost or
 * overwritten block is seen by this, a changed bit is not.
 * @param stream the item's bytes: units, each after its length
 * @param config the item's `hvcC`
 */
export function isSoundHevc(stream: Buffer, config: Buffer): boolean {
  if (config.length < CONFIG_BYTES || config[0] !== 1) return false;
  const lengthBytes = (config[21]! & 3) + 1;
  let slices = 0;
  let at = 0;
  while (at < stream.length) {
    if (at + lengthBytes > stream.length) return false;
    const start = at + lengthBytes;
    at = start + stream.readUIntBE(at, lengthBytes);
    if (at > stream.length || !isSoundUnit(stream, start, at)) return false;
    if (typeOf(stream, start) < SLICES_BELOW) slices++;
  }
  return slices > 0 && hasSoundSets(config);
}

/** The parameter sets, in lists by type. */
function hasSoundSets(config: Buffer): boolean {
  let at = CONFIG_BYTES;
  for (let lists = config[22]!; lists > 0; lists--) {
    if (at + 3 > config.length) return false;
    const type = config[at]! & 0x3f;
    const count = config.readUInt16BE(at + 1);
    at += 3;
    for (let left = count; left > 0; left--) {
      if (at + 2 > config.length) return false;
      const start = at + 2;
      at = start + config.readUInt16BE(at);
      if (at > config.length || !isSoundUnit(config, start, at) || typeOf(config, start) !== type) return false;
    }
  }
  return at === config.length;
}

function typeOf(bytes: Buffer, start: number): number {
  return (bytes[start]! >> 1) & 0x3f;
}

function isSoundUnit(bytes: Buffer, start: number, end: number): boolean {
  if (end - start <= HEADER_BYTES || bytes[end - 1] === 0) return false;
  const isForbidden = (bytes[start]! & 0x80) !== 0;
  const layer = ((bytes[start]! & 1) << 5) | (bytes[start + 1]! >> 3);
  if (isForbidden || layer !== 0 || (bytes[start + 1]! & 7) === 0 || typeOf(bytes, start) >= FIRST_UNSPECIFIED)
    return false;
  const unit = bytes.subarray(start, end);
  for (
    let at = unit.indexOf(ESCAPED, HEADER_BYTES);
    at >= 0 && at + 2 < unit.length;
    at = unit.indexOf(ESCAPED, at + 2)
  ) {
    // A third byte of 3 protects a fourth of at most 3; it may also be the last one.
    if (unit[at + 2]! < 3 || (unit[at + 2] === 3 && at + 3 < unit.length && unit[at + 3]! > 3)) return false;
  }
  return true;
}
