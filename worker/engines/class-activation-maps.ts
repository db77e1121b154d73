/**
 * Class activation maps, computed in the engine process: the engine's matrix product takes a tenth of the time of JavaScript, and
 * only a few maps go to the worker instead of all features.
 */
import { fstatSync, openSync, readSync } from 'node:fs';
import type { ActivationMaps, EngineModel } from './engine.ts';
import { topKIndexes } from './top-k.ts';

/** The last feature map before global average pooling: count x channels x height x width. */
export interface Features {
  values: Float32Array;
  width: number;
  height: number;
  channels: number;
}

/** `count` products of two row-major matrices, one after the other: rows x inner by inner x columns. */
export type Multiply = (
  left: Float32Array,
  right: Float32Array,
  size: { count: number; rows: number; inner: number; columns: number },
) => Promise<Float32Array>;

export type DrawMaps = (probabilities: Float32Array, features: Features) => Promise<ActivationMaps>;

/**
 * The features weighted by the dense layer's weights of a class (Zhou et al. 2016), for the best labels of each image.
 * @throws if the file of weights cannot be opened
 */
export function createMapDrawer(
  { kernelPath, labels }: NonNullable<EngineModel['heatmap']>,
  classCount: number,
  multiply: Multiply,
): DrawMaps {
  const file = openSync(kernelPath, 'r');
  const rowBytes = fstatSync(file).size / classCount;
  const rows = Math.min(labels, classCount);

  /** Row by row from the file, since heatmaps are rarely requested and all weights would take memory. */
  function readWeights(probabilities: Float32Array, count: number): Float32Array {
    const bytes = new Uint8Array(count * rows * rowBytes);
    for (let image = 0; image < count; image++) {
      const scores = probabilities.subarray(image * classCount, (image + 1) * classCount);
      for (const [place, label] of topKIndexes(scores, rows).entries()) {
        const at = (image * rows + place) * rowBytes;
        if (readSync(file, bytes, at, rowBytes, label * rowBytes) !== rowBytes)
          throw new Error(`${kernelPath} is cut off`);
      }
    }
    return new Float32Array(bytes.buffer);
  }

  return async (probabilities, { values, width, height, channels }) => {
    if (channels * Float32Array.BYTES_PER_ELEMENT !== rowBytes) {
      throw new Error(`${kernelPath} does not belong to features of ${channels} channels`);
    }
    const count = probabilities.length / classCount;
    const weights = readWeights(probabilities, count);
    const size = { count, rows, inner: channels, columns: width * height };
    return { values: await multiply(weights, values, size), labels: rows, width, height };
  };
}
