import { InferenceSession, Tensor } from 'onnxruntime-node';
import { EngineLoadError, type EngineModel, type EngineOutput, type LoadedModel } from '../engine.ts';

/**
 * Runs the ONNX file that `models/` made: uint8 `[N,H,W,C]` in, `probabilities` out, normalisation inside the graph.
 * @throws EngineLoadError 'unsupported' where the model has no ONNX file, 'failed' where the file cannot be read.
 */
export async function loadOnnxruntime(model: EngineModel): Promise<LoadedModel> {
  if (!model.onnx) throw new EngineLoadError('unsupported', 'the model has no ONNX file');
  const { height, width, channels } = model.input;
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(model.onnx.path, {
      intraOpNumThreads: model.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      // Threads that spin between two operators take a fifth more CPU, which the decoding of uploads beside them needs.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
  } catch (error) {
    throw new EngineLoadError('failed', `onnxruntime cannot load the model: ${String(error)}`, error);
  }
  const inputName = session.inputNames[0]!;
  const probabilitiesName = session.outputNames[0]!;
  const featuresName = model.onnx.featuresOutput;
  const plainFetches = [probabilitiesName];
  const featureFetches = featuresName === undefined ? plainFetches : [probabilitiesName, featuresName];

  return {
    hasFeatures: featuresName !== undefined,
    async run({ images, count, wantFeatures }): Promise<EngineOutput> {
      const input = new Tensor('uint8', images, [count, height, width, channels]);
      const outputs = await session.run({ [inputName]: input }, wantFeatures ? featureFetches : plainFetches);
      const probabilities = outputs[probabilitiesName]!.data as Float32Array;
      const features = wantFeatures && featuresName !== undefined ? outputs[featuresName] : undefined;
      if (!features) return { probabilities };
      const [, featureChannels, featureHeight, featureWidth] = features.dims as [number, number, number, number];
      return {
        probabilities,
        features: {
          values: features.data as Float32Array,
          height: featureHeight,
          width: featureWidth,
          channels: featureChannels,
        },
      };
    },
  };
}
