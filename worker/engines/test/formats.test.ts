/** Each engine on each format, prepared as the worker does it, against tfjs in plain JavaScript in this process. */
import {
  buildChain,
  buildClassifier,
  buildFunctionalOfSequential,
  buildGraphModel,
  buildNested,
  CLASSES,
  MATMUL,
  SHAPE,
  saveRandom,
  UNCONVERTED,
} from '@inferql/converter/golden/classifiers.fixture';
import {
  quantizeWeights,
  toKeras3,
  toKeras3Nested,
  toKeras3Sequential,
  toKeras21,
} from '@inferql/converter/golden/formats.fixture';
import { largestDifference, randomPixels, type TestModel, toTensor } from '@inferql/converter/golden/harness.fixture';
import type { InputSpec } from '@inferql/converter/spec/input-spec';
import type { OutputSpec } from '@inferql/converter/spec/spec';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ServableModel } from '../../serving/servable-model.ts';
import type { EngineName } from '../engine.ts';
import { ENGINES, setUpEngines } from './engines.fixture.ts';

const COUNT = 3;

const engines = setUpEngines();

function inputOf(normalization: InputSpec['normalization'], channels: 1 | 3 = 3): InputSpec {
  return { width: 9, height: 7, channels, kernel: 'linear', normalization };
}

interface Case {
  name: string;
  saved: () => TestModel | Promise<TestModel>;
  /** What plain tfjs reads instead, if it cannot read that. */
  reference?: () => TestModel | Promise<TestModel>;
  input?: InputSpec;
  activation?: OutputSpec['activation'];
  /** An engine that cannot run it. @default none */
  ruledOut?: EngineName;
  /** Engines that give heatmaps. @default all */
  heatmaps?: EngineName[];
}

const saveClassifier = () => saveRandom(buildClassifier('softmax'));
const saveChain = () => saveRandom(buildChain());
const saveFunctional = () => saveRandom(buildFunctionalOfSequential());

const CASES: Case[] = [
  { name: 'a layers model', saved: saveClassifier },
  {
    name: 'logits, which get a softmax, and pixels as caffe has them',
    saved: () => saveRandom(buildClassifier('linear')),
    input: inputOf('caffe'),
    activation: 'logits',
  },
  {
    name: 'several labels at once, and pixels as torch has them',
    saved: () => saveRandom(buildClassifier('linear')),
    input: inputOf('torch'),
    activation: 'logits-sigmoid',
  },
  {
    name: "several labels at once by the model's own sigmoid",
    saved: () => saveRandom(buildClassifier('sigmoid')),
    activation: 'sigmoid',
  },
  { name: 'one channel', saved: () => saveRandom(buildClassifier('softmax', 1)), input: inputOf('unit', 1) },
  ...(['float16', 'uint8', 'uint16'] as const).flatMap((dtype): Case[] => [
    { name: `weights quantized to ${dtype}`, saved: async () => quantizeWeights(await saveClassifier(), dtype) },
    {
      name: `a graph model with weights quantized to ${dtype}`,
      saved: () => quantizeWeights(buildGraphModel(-1, MATMUL), dtype),
      heatmaps: ['onnxruntime'],
    },
  ]),
  { name: 'a sequential model', saved: saveChain },
  {
    name: 'a sequential model as Keras 2.1 wrote it',
    saved: async () => toKeras21(await saveChain()),
    reference: saveChain,
  },
  {
    name: 'a functional model of Keras 3',
    saved: async () => toKeras3(await saveChain(), SHAPE),
    reference: saveChain,
  },
  {
    name: 'a sequential model of Keras 3',
    saved: async () => toKeras3Sequential(await saveChain(), SHAPE),
    reference: saveChain,
  },
  {
    name: 'a sequential model of Keras 3 with weights quantized to float16',
    saved: async () => quantizeWeights(toKeras3Sequential(await saveChain(), SHAPE), 'float16'),
    reference: async () => quantizeWeights(await saveChain(), 'float16'),
  },
  {
    name: 'a sequential model in a functional one of Keras 3',
    saved: async () => toKeras3Nested(await saveFunctional(), SHAPE),
    reference: saveFunctional,
  },
  { name: 'sequential models in a sequential model', saved: () => saveRandom(buildNested()), heatmaps: [] },
  {
    name: 'a sequential model in a functional one',
    saved: saveFunctional,
  },
  {
    name: 'a graph model',
    saved: () => buildGraphModel(-1, MATMUL),
    input: inputOf('none'),
    heatmaps: ['onnxruntime'],
  },
  {
    name: 'a graph model made for two images at once',
    saved: () => buildGraphModel(2, MATMUL),
    input: inputOf('unit'),
    heatmaps: ['onnxruntime'],
  },
  {
    name: 'a graph with an op that the converter does not have',
    saved: () => buildGraphModel(-1, UNCONVERTED),
    input: inputOf('unit'),
    ruledOut: 'onnxruntime',
    heatmaps: [],
  },
];

/** The answers of plain tfjs, one or two images at a time. */
async function expectedOf(test: Case, pixels: Uint8Array): Promise<number[]> {
  const { modelJson, weightData } = await (test.reference ?? test.saved)();
  const json = modelJson as { format: string; modelTopology: object; weightsManifest: tf.io.WeightsManifestConfig };
  const handler = {
    load: async () => ({
      format: json.format,
      modelTopology: structuredClone(json.modelTopology),
      weightSpecs: json.weightsManifest[0]!.weights,
      weightData,
    }),
  };
  const model = json.format === 'layers-model' ? await tf.loadLayersModel(handler) : await tf.loadGraphModel(handler);
  const batch = Math.max(model.inputs[0]!.shape![0] ?? 1, 1);
  const imageBytes = pixels.length / COUNT;
  const answers: number[] = [];
  for (let at = 0; at < COUNT; at += batch) {
    const part = new Uint8Array(batch * imageBytes);
    part.set(pixels.subarray(at * imageBytes, (at + batch) * imageBytes));
    const raw = (model.predict(toTensor(part, test.input ?? inputOf('tf'))) as tf.Tensor).reshape([batch, CLASSES]);
    const final =
      test.activation === 'logits' ? raw.softmax() : test.activation === 'logits-sigmoid' ? raw.sigmoid() : raw;
    answers.push(...((await final.data()) as Float32Array));
  }
  return answers.slice(0, COUNT * CLASSES);
}

/** Puts the model into a separate repository and prepares it. */
async function prepare(name: string, { input = inputOf('tf'), activation = 'softmax', saved }: Case, labels = CLASSES) {
  const { modelJson, weightData } = await saved();
  return engines.prepare(name, {
    'model.json': JSON.stringify(modelJson),
    'weights.bin': new Uint8Array(weightData),
    'labels.json': JSON.stringify(Array.from({ length: labels }, (_, index) => `class ${index}`)),
    'model.json5': JSON.stringify({
      source: { type: 'folder', model: 'model.json', labels: 'labels.json' },
      format: (modelJson as { format: string }).format === 'layers-model' ? 'tfjs-layers' : 'tfjs-graph',
      input,
      output: { activation },
    }),
  });
}

describe.each(CASES)('$name', (test_) => {
  const name = `case-${CASES.indexOf(test_)}`;
  const pixels = randomPixels(test_.input ?? inputOf('tf'), COUNT);
  let model: ServableModel;
  let expected: number[];
  let maps: Float32Array | undefined;

  beforeAll(async () => {
    [model, expected] = await Promise.all([prepare(name, test_), expectedOf(test_, pixels)]);
  });

  test('every engine that should run it is a candidate', () => {
    const able = ENGINES.filter((engine) => engine !== test_.ruledOut);
    expect(model.candidates.map(({ engine }) => engine)).toEqual(able);
  });

  test.each(ENGINES.filter((engine) => engine !== test_.ruledOut))('%s answers like tfjs', async (engine) => {
    const run = await engines.runShared(model, engine, pixels, COUNT);
    expect(largestDifference(run.probabilities, expected)).toBeLessThan(1e-5);
    expect(run.hasHeatmaps).toBe((test_.heatmaps ?? ENGINES).includes(engine));
    if (!run.maps) return;
    maps ??= run.maps.values;
    expect(largestDifference(run.maps.values, maps)).toBeLessThan(1e-5);
  });
});

describe.each<EngineName>(['tensorflow', 'wasm'])('%s', (engine) => {
  test('a model whose number of classes differs from that of its labels is refused at its first run', async () => {
    const wrong: Case = { name: 'wrong', saved: () => buildGraphModel(-1, UNCONVERTED), input: inputOf('unit') };
    const model = await prepare(`wrong-${engine}`, wrong, CLASSES + 1);
    const refusal = engines.start(model, engine).then(async (running) => {
      try {
        await running.run([randomPixels(inputOf('unit'), 1)], false);
      } finally {
        await running.close();
      }
    });
    await expect(refusal).rejects.toThrow();
  });
});
