import path from 'node:path';
import { ModelError } from '../../errors.ts';
import type { ModelRunner } from '../../model-process/model-runner.ts';
import type { FloatModel } from '../convert-model.ts';
import { writeModel } from '../graph/encode-onnx.ts';
import type { OnnxGraph, OnnxNode } from '../graph/graph.ts';
import type { Calibration } from './calibration-file.ts';
import { tensorsToQuantize } from './quantized-nodes.ts';

/**
 * Runs a float model over images and records the ranges of its tensors.
 * @param images uint8 [height, width, channels] each
 * @param options `headroom` widens what was seen by a factor; `folder` may be written to
 * @throws ModelError SPEC_INVALID if nothing would run on bytes
 */
export async function calibrate(
  model: FloatModel,
  shape: readonly [height: number, width: number, channels: number],
  images: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { threads, headroom, folder, runner }: { threads: number; headroom: number; folder: string; runner: ModelRunner },
): Promise<Calibration> {
  const tensors = tensorsToQuantize(model.graph);
  if (tensors.length === 0)
    throw new ModelError(
      'SPEC_INVALID',
      'int8 would change nothing: the model has no layers with weights before its last one',
    );
  const extremes = withExtremes(model.graph, tensors);
  await writeModel(extremes, 'calibration', folder);
  const [height, width] = shape;
  const session = await runner.openOnnx(path.join(folder, 'model.onnx'), { threads, input: { width, height } });
  const fetches = extremes.outputs.map(({ name }) => name);
  const seen = tensors.map(() => ({ low: [] as number[], high: [] as number[] }));
  let count = 0;
  try {
    for await (const pixels of images) {
      const image = { type: 'uint8', data: pixels, dims: [1, ...shape] };
      const { outputs } = await session.run({ image }, fetches, 1);
      tensors.forEach((name, i) => {
        seen[i]?.low.push(Number(outputs[`${name}_min`]?.data[0]));
        seen[i]?.high.push(Number(outputs[`${name}_max`]?.data[0]));
      });
      count++;
    }
  } finally {
    await session.release();
  }
  const round = (value: number) => Number((value * headroom).toPrecision(6));
  const ranges = Object.fromEntries(
    tensors.map((name, i) => [name, [round(Math.min(...seen[i]!.low)), round(Math.max(...seen[i]!.high))]]),
  ) as Calibration['ranges'];
  return { images: count, graph: model.fingerprint, ranges };
}

/** The same graph with the smallest and largest value of each tensor for outputs. */
function withExtremes(graph: OnnxGraph, tensors: readonly string[]): OnnxGraph {
  const extremes = tensors.flatMap((name): OnnxNode[] =>
    (['min', 'max'] as const).map((end) => ({
      op: end === 'min' ? 'ReduceMin' : 'ReduceMax',
      inputs: [name],
      outputs: [`${name}_${end}`],
      attributes: { keepdims: { int: 0 } },
    })),
  );
  const outputs = extremes.flatMap((node) => node.outputs);
  return {
    ...graph,
    nodes: [...graph.nodes, ...extremes],
    outputs: outputs.map((name) => ({ name, type: 'float32', shape: [] })),
  };
}
