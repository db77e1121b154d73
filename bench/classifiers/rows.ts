import { existsSync, readFileSync } from 'node:fs';
import * as z from 'zod';

const measuredSchema = z.object({
  engine: z.string(),
  /** The largest difference of a probability. */
  difference: z.number(),
  /** Images whose best label is the framework's. */
  agreeing: z.int(),
  images: z.int(),
  /** Images per second of processor time, on one thread. */
  perSecond: z.number(),
  /** Processor seconds from the exported file to one that the engine runs. */
  seconds: z.number().optional(),
  /** Size of the exported files. */
  megabytes: z.number().optional(),
  /** The largest resident memory of the process from the exported file to one that the engine runs. Linux only. */
  peakMegabytes: z.number().optional(),
  /** Whether `add` guesses the normalization that the family is trained with. */
  isGuessRight: z.boolean(),
});

const refusedSchema = z.object({ refused: z.string() });

const rowSchema = z.intersection(
  z.object({ model: z.string(), form: z.string(), versions: z.string() }),
  z.union([measuredSchema, refusedSchema]),
);

export type Measured = z.infer<typeof measuredSchema>;
export type Refused = z.infer<typeof refusedSchema>;
/** A model in a form. */
export type Row = z.infer<typeof rowSchema>;

/** Rows of a file, a line of JSON each; none if there is no such file. */
export function readRows(file: string): Row[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => rowSchema.parse(JSON.parse(line)));
}
