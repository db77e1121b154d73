import ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { encodeModel } from '../graph/encode-onnx.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import { type ResizeMapping, resizeImage } from './resize.ts';

type Mapping = 'halfPixelCenters' | 'alignCorners' | 'corners';
const SMALL = 5;

/** The rows, or columns, that are chosen from an image whose pixels are numbered along that side. */
async function pixelsOf(from: number, to: number, mapping: Mapping, side: 'rows' | 'columns') {
  const turn = (size: number) => (side === 'rows' ? ([size, SMALL] as const) : ([SMALL, size] as const));
  const builder = new GraphBuilder();
  const flags: ResizeMapping = mapping === 'corners' ? {} : { [mapping]: true };
  const image = builder.input('image', 'float32', [2, ...turn(from), 1]);
  const result = builder.channelsLast(resizeImage(builder, image, turn(to), 'nearest', flags));
  builder.graph.outputs.push({ name: result.name, type: 'float32', shape: result.shape });
  const session = await ort.InferenceSession.create(encodeModel(builder.graph, 'resize'), { intraOpNumThreads: 1 });
  const numbers = Array.from({ length: 2 * from * SMALL }, (_, i) => {
    const at = i % (from * SMALL);
    return side === 'rows' ? Math.floor(at / SMALL) : at % from;
  });
  const { [result.name]: output } = await session.run({
    image: new ort.Tensor('float32', Float32Array.from(numbers), [2, ...turn(from), 1]),
  });
  await session.release();
  const data = [...(output!.data as Float32Array)].slice(to * SMALL);
  return side === 'rows' ? data.filter((_, i) => i % SMALL === 0) : data.slice(0, to);
}

/** Without any rounding. */
const exact: Record<Mapping, (i: number, from: number, to: number) => number> = {
  halfPixelCenters: (i, from, to) => Math.floor(((2 * i + 1) * from) / (2 * to)),
  alignCorners: (i, from, to) => Math.floor((2 * i * (from - 1) + to - 1) / (2 * (to - 1))),
  corners: (i, from, to) => Math.floor((i * from) / to),
};

// TensorFlow 2.15 chose the exact pixel for each place of these.
const EXACT: [number, number][] = [
  [36, 37],
  [448, 32],
  [320, 96],
  [240, 260],
  [112, 456],
  [160, 48],
  [12, 7],
];

test.each(['halfPixelCenters', 'alignCorners', 'corners'] as const)(
  'the nearest pixels are those of TensorFlow, %s',
  async (mapping) => {
    for (const [from, to] of EXACT) {
      const expected = Array.from({ length: to }, (_, i) => exact[mapping](i, from, to));
      expect(await pixelsOf(from, to, mapping, 'rows'), `${from} to ${to} rows`).toEqual(expected);
      expect(await pixelsOf(from, to, mapping, 'columns'), `${from} to ${to} columns`).toEqual(expected);
    }
  },
);

// How often TensorFlow 2.15 takes each of 8 pixels for so many places.
test.each<[Mapping, number, number[]]>([
  ['alignCorners', 93, [7, 13, 13, 14, 13, 13, 13, 7]],
  ['halfPixelCenters', 164, [21, 20, 20, 21, 20, 21, 21, 20]],
  ['corners', 164, [21, 21, 20, 21, 20, 20, 21, 20]],
])('pixels where roundings matter are those of TensorFlow, %s to %i', async (mapping, to, counts) => {
  const expected = counts.flatMap((count, pixel) => Array<number>(count).fill(pixel));
  for (const side of ['rows', 'columns'] as const) {
    expect(await pixelsOf(8, to, mapping, side)).toEqual(expected);
  }
});
