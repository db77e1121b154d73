/** Inputs of whole numbers: Keras computes with them as they are, the converter in floats. */
import { expect, test } from 'vitest';
import type { InputSpec } from '../spec/input-spec.ts';
import { GraphWriter } from './graph-writer.fixture.ts';
import { INPUT as GRAPH_INPUT } from './graphs.fixture.ts';
import { randomPixels, runConverted } from './harness.fixture.ts';
import { INPUT, type LayerFile, layerFile, PIXELS, tensor, type Version } from './layer-files.fixture.ts';

/** What a model with an input of a type answers. */
async function answerOf(
  dtype: string,
  version: Version,
  layers: readonly LayerFile[],
  input: InputSpec = INPUT,
): Promise<number[]> {
  const file = layerFile(version, layers);
  const json = structuredClone(file.modelJson) as {
    modelTopology: { model_config: { config: { layers: { config: Record<string, unknown> }[] } } };
  };
  json.modelTopology.model_config.config.layers[0]!.config.dtype = dtype;
  return [...(await runConverted({ ...file, modelJson: json }, PIXELS, input)).probabilities];
}

const RESCALE: LayerFile = { class_name: 'Rescaling', config: { scale: 0.5, offset: 1 } };
const HALVES = [...PIXELS].map((pixel) => pixel / 2 + 1);
const NEAREST: LayerFile = { class_name: 'Resizing', config: { height: 4, width: 3, interpolation: 'nearest' } };
const FLIP: LayerFile = { class_name: 'RandomFlip', config: { mode: 'horizontal' } };
const CROP: LayerFile = {
  class_name: 'Cropping2D',
  config: {
    cropping: [
      [1, 0],
      [0, 1],
    ],
  },
};
const addOp = (version: Version, from = 'image'): LayerFile =>
  version.startsWith('3')
    ? { class_name: 'Add', module: 'keras.src.ops.numpy', call: { args: [tensor(from), 100], kwargs: {} } }
    : {
        class_name: 'TFOpLambda',
        config: { function: '__operators__.add' },
        call: [from, 0, 0, { y: 100 }],
      };
const castOp = (version: Version): LayerFile =>
  version.startsWith('3')
    ? {
        class_name: 'Cast',
        module: 'keras.src.ops.core',
        config: { dtype: 'float32' },
        call: { args: [tensor('image')], kwargs: {} },
      }
    : { class_name: 'TFOpLambda', config: { function: 'cast' }, call: ['image', 0, 0, { dtype: 'float32' }] };

const VERSIONS = ['2.15.0', '3.15.1'] as const;

test.each(VERSIONS)('whole numbers that become floats first are served, %s', async (version) => {
  for (const dtype of ['uint8', 'int32']) {
    for (const layers of [[RESCALE], [FLIP, RESCALE], [NEAREST, RESCALE], [castOp(version), RESCALE]]) {
      expect(await answerOf(dtype, version, layers), JSON.stringify(layers)).toEqual(HALVES);
    }
  }
  const resized: LayerFile = { class_name: 'Resizing', config: { height: 8, width: 6 } };
  if (version === '2.15.0') expect(await answerOf('uint8', version, [resized])).toHaveLength(8 * 6 * 3);
});

const REFUSED: [string, (version: Version) => LayerFile[], RegExp][] = [
  ['a sum, which wraps around', (version) => [addOp(version), RESCALE], /dtype uint8: layer l0 .*Rescaling\(1\.0\)/],
  ['the same behind layers that only move', (version) => [CROP, addOp(version, 'l0')], /dtype uint8: layer l1 /],
  [
    'an interpolation, which Keras 3 rounds',
    () => [{ class_name: 'UpSampling2D', config: { interpolation: 'bilinear' } }],
    /dtype uint8: layer l0 \(UpSampling2D\)/,
  ],
];
test.each(REFUSED)('whole numbers in %s are refused with the way out', async (_, layers, message) => {
  for (const version of VERSIONS) await expect(answerOf('uint8', version, layers(version))).rejects.toThrow(message);
});

test('a bilinear Resizing is refused in Keras 3, which rounds its pixels', async () => {
  const resized: LayerFile = { class_name: 'Resizing', config: { height: 8, width: 6 } };
  await expect(answerOf('uint8', '3.15.1', [resized])).rejects.toThrow(/dtype uint8: layer l0 \(Resizing\)/);
});

test('an input whose type does not hold every pixel is refused', async () => {
  await expect(answerOf('int8', '3.15.1', [RESCALE])).rejects.toThrow(/dtype int8: layer image/);
});

test.each(VERSIONS)('a nested model that would cut off decimals is refused, %s', async (version) => {
  const inner = layerFile(version, [RESCALE]).modelJson as {
    modelTopology: { model_config: { config: { layers: { config: Record<string, unknown> }[] } } };
  };
  const { config } = inner.modelTopology.model_config;
  const run = () => answerOf('float32', version, [RESCALE, { class_name: 'Functional', config: { ...config } }]);
  expect(await run()).toEqual(HALVES.map((value) => value / 2 + 1));
  config.layers[0]!.config.dtype = 'int32';
  await expect(run()).rejects.toThrow(/dtype int32: layer image would cut off decimals/);
});

test('a mean of a choice between whole numbers is refused in Keras 2, which divides them without a rest', async () => {
  const where = (x: number): LayerFile => ({
    class_name: 'TFOpLambda',
    config: { function: 'where' },
    call: ['image', 0, 0, { x, y: 0 }],
  });
  const cast: LayerFile = {
    class_name: 'TFOpLambda',
    config: { function: 'cast' },
    call: ['l0', 0, 0, { dtype: 'float32' }],
  };
  const mean = (from: string): LayerFile => ({
    class_name: 'TFOpLambda',
    config: { function: 'math.reduce_mean' },
    call: [from, 0, 0, { axis: [1, 2] }],
  });
  const run = (...layers: LayerFile[]) => answerOf('float32', '2.15.0', layers);
  await expect(run(where(1), mean('l0'))).rejects.toThrow(/int32 \(perhaps\): layer l1 \(TFOpLambda\)/);
  const share = (scale: number) => [11, 12, 12].map((count) => expect.closeTo((count / 12) * scale, 6));
  expect(await run(where(1), cast, mean('l1'))).toEqual(share(1));
  expect(await run(where(0.5), mean('l0'))).toEqual(share(0.5));
});

test('a model of whole numbers is not given others by the normalization of the spec', async () => {
  const message = 'input.normalization: expected none, since the model takes uint8';
  const unit = { ...INPUT, normalization: 'unit' as const };
  await expect(answerOf('uint8', '3.15.1', [RESCALE], unit)).rejects.toThrow(message);
  const turned = { ...INPUT, normalization: { scale: 1, mean: [0, 0, 0], std: [1, 1, 1], order: 'bgr' as const } };
  expect(await answerOf('uint8', '3.15.1', [RESCALE], turned)).toHaveLength(HALVES.length);
  const graph = new GraphWriter();
  graph.nodes[0]!.attr.dtype = { type: 'DT_INT32' };
  const model = graph.model(graph.node('Cast', ['image'], { DstT: { type: 'DT_FLOAT' } }));
  const pixels = randomPixels(GRAPH_INPUT, 1);
  await expect(runConverted(model, pixels, GRAPH_INPUT)).rejects.toThrow(message.replace('uint8', 'int32'));
  const { probabilities } = await runConverted(model, pixels, { ...GRAPH_INPUT, normalization: 'none' });
  expect([...probabilities]).toEqual([...pixels]);
});
