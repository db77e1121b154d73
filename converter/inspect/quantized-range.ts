/** What the range of a quantized input says about the normalization of its images. */
import { IMAGE_RANGES } from '../onnx-reader/expected-values.ts';
import type { CalibratedRange, ValueRange } from '../onnx-reader/quantized-ports.ts';
import type { NormalizationSpec } from '../spec/input-spec.ts';

type Named = Exclude<NormalizationSpec, object>;

/** How far a range may be from the usual one, as a share of it: quantized zeros are whole numbers. */
const PORT_SLACK = 0.02;
/** Few images may have no black or white. Other usual ranges differ by more. */
const CALIBRATION_SLACK = 0.05;

const { bytes, unit, signed, imagenet } = IMAGE_RANGES;
/** The least and the most value of any channel. */
const RANGES = (
  [
    ['none', bytes],
    ['unit', unit],
    ['tf', signed],
    ['torch', imagenet],
  ] as const
).map(([name, { black, white }]) => ({ name, low: Math.min(...black), high: Math.max(...white) }));

/** The normalization of an input of whole numbers, which stand for all values that images can have. Undefined if it is none of the usual. */
export function normalizationOfPort(range: ValueRange): Named | undefined {
  return RANGES.find((usual) => usual.name !== 'torch' && isNear(range, usual, PORT_SLACK))?.name;
}

/**
 * The normalization of the images that a model was calibrated on.
 * @returns undefined if the range is none of the usual, or may be several
 */
export function normalizationOfCalibration({ isSymmetric, ...range }: CalibratedRange): Named | undefined {
  const found = RANGES.filter(({ low, high }) => {
    const largest = Math.max(-low, high);
    return isNear(range, isSymmetric ? { low: -largest, high: largest } : { low, high }, CALIBRATION_SLACK);
  });
  return found.length === 1 ? found[0]?.name : undefined;
}

/** Such as `-1 to 1`. */
export function describeRange({ low, high }: ValueRange): string {
  const [from, to] = [low, high].map((value) => Number(value.toPrecision(3)));
  return `${from} to ${to}`;
}

function isNear(range: ValueRange, usual: ValueRange, share: number): boolean {
  const slack = (usual.high - usual.low) * share;
  return Math.abs(range.low - usual.low) <= slack && Math.abs(range.high - usual.high) <= slack;
}
