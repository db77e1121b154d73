/**
 * A progressive JPEG of one color in which each coefficient comes separately, bit by bit, as the standard allows: some 70 bytes per scan, each of which
 * visits every block. 63 coefficients of 14 bits are 882 scans.
 */
export function writeManyScans({
  side,
  coefficients,
  bits,
}: {
  side: number;
  coefficients: number;
  bits: number;
}): Buffer {
  const blocks = (side / 8) ** 2;
  const size = [side >> 8, side & 255];
  const firstDc = Buffer.alloc(Math.ceil(blocks / 8));
  const parts = [
    Buffer.from([0xff, 0xd8]),
    segment(0xdb, [0, ...Array<number>(64).fill(1)]),
    segment(0xc2, [8, ...size, ...size, 1, 1, 0x11, 0]),
    segment(0xc4, [0x00, 1, ...Array<number>(15).fill(0), 0]),
    segment(0xc4, [0x10, 1, ...Array<number>(15).fill(0), 0xe0]),
    segment(0xda, [1, 1, 0, 0, 0, 0]),
    firstDc,
  ];
  const empty = writeEmptyScan(blocks);
  for (let coefficient = 1; coefficient <= coefficients; coefficient++) {
    for (let low = bits - 1; low >= 0; low--) {
      const high = low === bits - 1 ? 0 : low + 1;
      parts.push(segment(0xda, [1, 1, 0, coefficient, coefficient, (high << 4) | low]), empty);
    }
  }
  return Buffer.concat([...parts, Buffer.from([0xff, 0xd9])]);
}

function segment(marker: number, body: number[]): Buffer {
  return Buffer.from([0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255, ...body]);
}

/** Runs of up to 32,767 blocks without anything: the code word 0, then 14 bits. */
function writeEmptyScan(blocks: number): Buffer {
  let bits = '';
  for (let left = blocks; left > 0; left -= Math.min(left, 32_767)) {
    bits += `0${(Math.max(Math.min(left, 32_767), 16_384) - 16_384).toString(2).padStart(14, '0')}`;
  }
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  const bytes = padded.match(/.{8}/g)!.flatMap((byte) => (byte === '11111111' ? [255, 0] : [Number.parseInt(byte, 2)]));
  return Buffer.from(bytes);
}
