/** Shared by tests of formats: images prepared for a model of 8 x 4 pixels, so small that a test can name their colors. */
import type { ServedModel } from '@inferql/queue/contract';
import { prepareImage } from '../preprocess.ts';

const INPUT: ServedModel['input'] = { width: 8, height: 4, channels: 3, kernel: 'nearest' };

export const RED = [255, 0, 0] as const;
export const BLUE = [0, 0, 255] as const;
export const WHITE = [255, 255, 255] as const;

export const prepare = (file: Buffer) => prepareImage(file, INPUT, 1_000_000);

/** The colors of the input's corners: top left, top right, bottom left. */
export async function corners(file: Buffer): Promise<number[][]> {
  const pixels = await prepare(file);
  return [0, 7, 24].map((pixel) => [...pixels.subarray(3 * pixel, 3 * pixel + 3)]);
}
