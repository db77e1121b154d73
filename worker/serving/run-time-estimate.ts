/** Measured time of recent runs, and an estimate for the next one. Milliseconds. */
export interface RunTimeEstimate {
  note(batchSize: number, inferenceMs: number): void;
  /** Moving average of the time per image; undefined before the first run. */
  imageMs(): number | undefined;
  /** How long a run of this many images takes; 0 while nothing is known. */
  expectedMs(batchSize: number): number;
}

const WEIGHT = 0.2;

export function createRunTimeEstimate(): RunTimeEstimate {
  let imageMs: number | undefined;
  const runMs = new Map<number, number>();
  const average = (old: number | undefined, value: number) =>
    old === undefined ? value : old + (value - old) * WEIGHT;

  return {
    note(batchSize, inferenceMs) {
      imageMs = average(imageMs, inferenceMs / batchSize);
      runMs.set(batchSize, average(runMs.get(batchSize), inferenceMs));
    },
    imageMs: () => imageMs,
    expectedMs: (batchSize) => runMs.get(batchSize) ?? (imageMs ?? 0) * batchSize,
  };
}
