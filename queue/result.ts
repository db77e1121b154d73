/** The contents of a prediction's result, and how many labels it keeps. Part of the wire format: see contract.ts. */
import * as z from 'zod';
import { Label, StoredOutputs, Threshold } from './outputs.ts';

/** How many labels a caller gets if neither the mutation nor the field says it. */
export const DEFAULT_TOP_K = 5;
/** How many labels a stored result keeps unless a caller requested more. A caller may select fewer. */
export const STORED_LABELS = 20;
/** How many labels a result can keep if its request asks for them. */
export const MAX_LABELS = 1000;

/** Class activation maps, one per stored label: `values` has width*height entries, row by row, scaled to 0..1 over the map. */
export const Heatmaps = z.object({
  width: z.number().int().positive(),
  height: z.number().int().positive(),
  maps: z.array(z.object({ index: z.number().int(), values: z.array(z.number()) })),
});
export type Heatmaps = z.infer<typeof Heatmaps>;

/** A computation's result: the best labels by descending score, at most {@link STORED_LABELS} unless its request asked for more; none if the model has no labels. */
export const Result = z.object({
  labels: z.array(Label),
  /** Labels below it are not shown unless a caller asks for them. */
  threshold: Threshold.optional(),
  heatmaps: Heatmaps.optional(),
  /** Further heads, embeddings and tensors, in the order of the model's specification. */
  outputs: StoredOutputs.optional(),
  /** What the model's code added, as JSON. */
  extra: z.unknown().optional(),
});
export type Result = z.infer<typeof Result>;
