import type { LoadedModel } from '@inferql/worker/engines/engine';
import { SHORT_SPIN } from '@inferql/worker/engines/onnx/thread-spin';
import ort from 'onnxruntime-node';
import { probeFront } from '../inspect/embedded-preprocessing/run-front.ts';
import type { EngineSession, ModelRunner, OnnxOptions, OnnxSession, RunnableEngineModel } from './model-runner.ts';

/** Runs models in this process: in the model process, and where a model is known to be harmless. */
export const localRunner: ModelRunner = {
  warmUp: () => undefined,
  openOnnx,
  openEngine,
  // Imports tfjs, which most models do not need.
  answerSizes: async (...model) => (await import('@inferql/worker/engines/tfjs/wasm')).answerSizes(...model),
  readFront: probeFront,
  close: async () => undefined,
};

async function openOnnx(file: string, { threads }: Partial<OnnxOptions>): Promise<OnnxSession> {
  const options = {
    logSeverityLevel: 3,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    extra: SHORT_SPIN,
  } as const;
  const session = await ort.InferenceSession.create(file, options);
  return {
    inputs: session.inputMetadata.map((port) => ({ name: port.name, shape: port.isTensor ? port.shape : [] })),
    outputNames: session.outputNames,
    async run(feeds, fetches) {
      const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => {
        return [name, new ort.Tensor(type as 'uint8', data as Uint8Array, dims)] as const;
      });
      const start = performance.now();
      const outputs = await session.run(Object.fromEntries(tensors), [...fetches]);
      const inferenceMs = performance.now() - start;
      const values = Object.entries(outputs).map(([name, { type, dims, data }]) => [name, { type, dims, data }]);
      return { outputs: Object.fromEntries(values), inferenceMs };
    },
    release: () => session.release(),
  };
}

async function openEngine(model: RunnableEngineModel): Promise<EngineSession> {
  const loaded = await loadModel(model);
  return {
    async run(images, count) {
      const { probabilities, outputs } = await loaded.run({ images, count, wantHeatmaps: false });
      return { probabilities, ...(outputs && { outputs }) };
    },
    close: async () => undefined,
  };
}

async function loadModel(model: RunnableEngineModel): Promise<LoadedModel> {
  switch (model.engine) {
    case 'wasm':
      return (await import('@inferql/worker/engines/tfjs/wasm')).loadWasm(model);
    case 'module':
      return (await import('@inferql/worker/engines/custom/custom-engine')).loadModule(model);
    default:
      return model.engine satisfies never;
  }
}
