import type { ModelRunner } from '../../model-process/model-runner.ts';
import type { OnnxModel, OnnxModelGraph } from '../../onnx-reader/decode-onnx.ts';
import type { OnnxFacts } from '../../onnx-reader/inputs-and-outputs.ts';
import type { ModelFront } from '../../onnx-reader/model-front.ts';
import type { OnnxGraph } from '../../onnx-writer/graph/graph.ts';
import type { InputSpec } from '../../spec/input-spec.ts';
import { encodeConvertedFront, encodeFileFront } from './cut-out-front.ts';
import type { FrontReading } from './front-readings.ts';

interface ImageSize {
  width: number;
  height: number;
  channels: number;
}

/** What an ONNX file does before its first learned operator; undefined if that is nothing, or does not run alone. */
export async function probeFileFront(
  decoded: { model: OnnxModel; graph: OnnxModelGraph },
  { front, input }: OnnxFacts,
  { width, height, channels }: ImageSize,
  file: string,
  runner: Pick<ModelRunner, 'readFront'>,
): Promise<FrontReading | undefined> {
  const bytes = front && encodeFileFront(decoded, front, input, file);
  if (!bytes) return undefined;
  const batch = input.batch ?? 1;
  const { layout } = input;
  const image = layout === 'nchw' ? [channels, height, width] : [height, width, channels];
  const dims = {
    batch: image,
    channels: [batch, height, width],
    shape: [batch, width * height * channels],
    nothing: [batch, ...image],
  }[input.without ?? 'nothing'];
  return runner.readFront(bytes, front, { width, height, channels, layout, dims });
}

/** The same of a converted model. */
export async function probeConvertedFront(
  graph: OnnxGraph,
  front: ModelFront,
  { width, height, channels }: InputSpec,
  runner: Pick<ModelRunner, 'readFront'>,
): Promise<FrontReading | undefined> {
  const input = { width, height, channels, layout: 'nhwc' as const, dims: [1, height, width, channels] };
  return runner.readFront(encodeConvertedFront(graph, front), front, input);
}
