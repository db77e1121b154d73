/**
 * Resizing as a browser's canvas does it with the default smoothing (`imageSmoothingQuality: 'low'`): bilinear, half-pixel
 * centers, no antialias. The standard does not define the filter; this is what Chromium does on the CPU: Skia's positions in 16
 * bits, its weights in sixteenths, its result truncated. When the image is cropped, a position that falls exactly on a sixteenth
 * may be taken from the other side, which changes a value by a sixteenth of the step between two pixels.
 */
import type { Resizer } from './pixels.ts';
import { columnsOf, makeTaps, type Range, rowsOf } from './separable.ts';

const STEPS = 16;

/** `round`: vertical positions are single precision, horizontal positions are a fixed-point sum. */
function skiaTaps(inSize: number, outSize: number, range: Range, round: (position: number) => number) {
  const scale = Math.fround(1 / Math.fround(outSize / inSize));
  return makeTaps(range, 2, (index, weights) => {
    const position = round((index + 0.5) * scale) - 0.5;
    const below = Math.floor(position);
    const sixteenths = Math.floor((position - below) * STEPS);
    const low = Math.min(Math.max(below, 0), inSize - 1);
    const high = Math.min(Math.max(below + 1, 0), inSize - 1);
    weights[0] = low === high ? STEPS : STEPS - sixteenths;
    weights[1] = low === high ? 0 : sixteenths;
    return { start: low, count: high - low + 1 };
  });
}

export const resizeAsCanvas: Resizer = ({ data, width, height, channels }, size, part) => {
  const columns = skiaTaps(width, size.width, columnsOf(part), (position) => position);
  const rows = skiaTaps(height, size.height, rowsOf(part), Math.fround);
  const result = new Uint8Array(part.width * part.height * channels);
  const stride = width * channels;
  let to = 0;
  for (let y = 0; y < part.height; y++) {
    const row = rows.starts[y]! * stride;
    const down = rows.counts[y] === 2 ? stride : 0;
    for (let x = 0; x < part.width; x++) {
      const across = columns.counts[x] === 2 ? channels : 0;
      const at = row + columns.starts[x]! * channels;
      for (let channel = at; channel < at + channels; channel++) {
        const upper = data[channel]! * columns.weights[x * 2]! + data[channel + across]! * columns.weights[x * 2 + 1]!;
        const lower =
          data[channel + down]! * columns.weights[x * 2]! +
          data[channel + down + across]! * columns.weights[x * 2 + 1]!;
        result[to++] = (upper * rows.weights[y * 2]! + lower * rows.weights[y * 2 + 1]!) >> 8;
      }
    }
  }
  return result;
};
