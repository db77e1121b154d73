import { outputPort } from '@inferql/converter/onnx-writer/output-port';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { createMapDrawer } from '../class-activation-maps.ts';
import type { EngineBatch, EngineModel, EngineOutput } from '../engine.ts';
import { joinOutputArrays, type OutputArray, type OutputArrays } from '../output-arrays.ts';
import { createMultiply } from './matmul.ts';
import { SHORT_SPIN } from './thread-spin.ts';

/** Which file a session reads, and how. */
export interface OnnxFile {
  path: string;
  /** Written by optimize-main.ts for this machine: its weights are in a file next to it, which all sessions of this machine share. */
  isOptimized: boolean;
}

export interface OnnxSession {
  hasHeatmaps: boolean;
  /** The images must not be in shared memory, which the library does not accept. */
  run(batch: EngineBatch): Promise<EngineOutput>;
}

type OnnxModel = Pick<EngineModel, 'input' | 'classCount' | 'heatmap' | 'outputs'>;
type Fetched = Awaited<ReturnType<InferenceSession['run']>>;

/** Uint8 `[N,H,W,C]` in, `probabilities` and named outputs out, normalization inside the graph. @throws whatever the library throws. */
export async function createOnnxSession(model: OnnxModel, file: OnnxFile, threads: number): Promise<OnnxSession> {
  const { height, width, channels } = model.input;
  const session = await openSession(file, threads);
  const inputName = session.inputNames[0]!;
  const probabilitiesName = session.outputNames[0]!;
  const featuresName = model.heatmap?.featuresOutput ?? '';
  const drawMaps = model.heatmap && createMapDrawer(model.heatmap, model.classCount, await createMultiply());
  const specs = model.outputs ?? [];
  const hasLabels = model.classCount > 0;
  const plainFetches = [...(hasLabels ? [probabilitiesName] : []), ...specs.map(({ name }) => outputPort(name))];
  const heatmapFetches = drawMaps ? [...plainFetches, featuresName] : plainFetches;

  const fixedBatch = fixedBatchOf(session);
  const imageBytes = height * width * channels;

  /** A model of a fixed batch has no features for maps: such a file was not written by the converter. */
  async function runInParts(images: Uint8Array, count: number): Promise<EngineOutput> {
    const size = fixedBatch ?? count;
    const probabilities = new Float32Array(count * model.classCount);
    const parts: OutputArrays[] = [];
    for (let at = 0; at < count; at += size) {
      const part = new Uint8Array(size * imageBytes);
      part.set(images.subarray(at * imageBytes, (at + size) * imageBytes));
      const outputs = await session.run(
        { [inputName]: new Tensor('uint8', part, [size, height, width, channels]) },
        plainFetches,
      );
      const answers = probabilitiesOf(outputs);
      probabilities.set(answers.subarray(0, Math.min(size, count - at) * model.classCount), at * model.classCount);
      parts.push(namedOf(outputs));
    }
    return { probabilities, ...(model.outputs && { outputs: joinOutputArrays(specs, parts, count) }) };
  }

  function probabilitiesOf(outputs: Fetched): Float32Array {
    return hasLabels ? (outputs[probabilitiesName]!.data as Float32Array) : new Float32Array(0);
  }

  function namedOf(outputs: Fetched): OutputArrays {
    return Object.fromEntries(specs.map(({ name }) => [name, outputs[outputPort(name)]!.data as OutputArray]));
  }

  return {
    hasHeatmaps: drawMaps !== undefined,
    async run({ images, count, wantHeatmaps }) {
      if (fixedBatch !== undefined && fixedBatch !== count) return runInParts(images, count);
      const input = new Tensor('uint8', images, [count, height, width, channels]);
      const outputs = await session.run({ [inputName]: input }, wantHeatmaps ? heatmapFetches : plainFetches);
      const probabilities = probabilitiesOf(outputs);
      const named = model.outputs && { outputs: namedOf(outputs) };
      const features = outputs[featuresName];
      if (!features || !drawMaps) return { probabilities, ...named };
      const [, featureChannels, featureHeight, featureWidth] = features.dims as [number, number, number, number];
      const maps = await drawMaps(probabilities, {
        values: features.data as Float32Array,
        height: featureHeight,
        width: featureWidth,
        channels: featureChannels,
      });
      return { probabilities, ...named, maps };
    },
  };
}

function openSession(file: OnnxFile, threads: number): Promise<InferenceSession> {
  return InferenceSession.create(file.path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: file.isOptimized ? 'disabled' : 'all',
    // A memory plan per batch size takes 23 MB more per session, and saves no time.
    enableMemPattern: false,
    extra: SHORT_SPIN,
  });
}

/** The model's fixed batch size; undefined for any number of images. */
function fixedBatchOf(session: InferenceSession): number | undefined {
  const [input] = session.inputMetadata;
  const batch = input?.isTensor ? input.shape[0] : undefined;
  return typeof batch === 'number' && batch > 0 ? batch : undefined;
}
