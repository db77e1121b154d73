import * as z from 'zod';
import { ModelError } from '../../errors.ts';

const rangesSchema = z.object({
  /** The number of calibration images. */
  images: z.int().min(1),
  /** Fingerprint of the graph that the names belong to. */
  graph: z.string(),
  /** The smallest and largest value of each tensor. */
  ranges: z.record(z.string(), z.tuple([z.number(), z.number()])),
});

/** What calibration saw, as `calibration.json` keeps it: ranges, not images. */
export type Calibration = z.infer<typeof rangesSchema>;

/** @throws ModelError SPEC_INVALID */
export function parseCalibration(text: string, file: string): Calibration {
  try {
    return rangesSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('SPEC_INVALID', `${file} is not a calibration: create it again with the quantize command`, {
      cause,
    });
  }
}
