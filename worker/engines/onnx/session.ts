import { InferenceSession, Tensor } from 'onnxruntime-node';
import { createMapDrawer } from '../class-activation-maps.ts';
import type { EngineBatch, EngineModel, EngineOutput } from '../engine.ts';
import { createMultiply } from './matmul.ts';

/** Which file a session reads, and how. */
export interface OnnxFile {
  path: string;
  /** Made by onnx-optimize.ts for this machine: its weights lie in a file beside it, which all sessions of this machine share. */
  isOptimized: boolean;
}

export interface OnnxSession {
  hasHeatmaps: boolean;
  /** The images must not lie in shared memory, which the library does not take. */
  run(batch: EngineBatch): Promise<EngineOutput>;
}

const SPIN_US = '200';

type OnnxModel = Pick<EngineModel, 'input' | 'classCount' | 'heatmap'>;

/** Uint8 `[N,H,W,C]` in, `probabilities` out, normalisation inside the graph. @throws what the library throws. */
export async function createOnnxSession(model: OnnxModel, file: OnnxFile, threads: number): Promise<OnnxSession> {
  const { height, width, channels } = model.input;
  const session = await InferenceSession.create(file.path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: file.isOptimized ? 'disabled' : 'all',
    // A plan of memory for each size of batch takes 23 MB a session more, and saves no time.
    enableMemPattern: false,
    extra: {
      session: {
        // Threads that spin between two operators for longer take a fifth more CPU, which the decoding of uploads beside them needs.
        intra_op: { spin_duration_us: SPIN_US },
        force_spinning_stop: '1',
      },
    },
  });
  const inputName = session.inputNames[0]!;
  const probabilitiesName = session.outputNames[0]!;
  const featuresName = model.heatmap?.featuresOutput ?? '';
  const drawMaps = model.heatmap && createMapDrawer(model.heatmap, model.classCount, await createMultiply());
  const plainFetches = [probabilitiesName];
  const heatmapFetches = drawMaps ? [probabilitiesName, featuresName] : plainFetches;

  return {
    hasHeatmaps: drawMaps !== undefined,
    async run({ images, count, wantHeatmaps }) {
      const input = new Tensor('uint8', images, [count, height, width, channels]);
      const outputs = await session.run({ [inputName]: input }, wantHeatmaps ? heatmapFetches : plainFetches);
      const probabilities = outputs[probabilitiesName]!.data as Float32Array;
      const features = outputs[featuresName];
      if (!features || !drawMaps) return { probabilities };
      const [, featureChannels, featureHeight, featureWidth] = features.dims as [number, number, number, number];
      const maps = await drawMaps(probabilities, {
        values: features.data as Float32Array,
        height: featureHeight,
        width: featureWidth,
        channels: featureChannels,
      });
      return { probabilities, maps };
    },
  };
}
