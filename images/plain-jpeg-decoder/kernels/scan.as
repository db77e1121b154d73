// The scan: all blocks of all components, segment by segment.

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
