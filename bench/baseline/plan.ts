export type BaselineRequest =
  /** `pixelsPath`: prepared images one after the other; `size`: height, width, channels. */
  | { type: 'load'; onnxPath: string; threads: number; pixelsPath: string; size: [number, number, number] }
  | { type: 'run'; batch: number; durationMs: number };

export interface BaselineResponse {
  imagesPerSecond: number;
  /** Wall time of each run. */
  runsMs: number[];
  rssBytes: number;
}
