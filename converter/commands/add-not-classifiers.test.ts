/** `models add` of models that do not classify: their boxes, masks and features must not pass for scores. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { GraphWriter } from '../golden/graph-writer.fixture.ts';
import { conv } from '../golden/graphs.fixture.ts';
import { parseOutputRequests } from '../inspect/declared-outputs.ts';
import { encodeModel } from '../onnx-writer/graph/encode-onnx.ts';
import { BATCH } from '../onnx-writer/graph/graph.ts';
import { prepareModel } from '../prepared-model.ts';
import { addModel } from './add.ts';
import { filesOf, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();
const printed = () => repository.printed.join('\n');

/** Adds a model with files such as `filesOf` gives. */
async function add(name: string, files: Record<string, string | Uint8Array>, options: Parameters<typeof addModel>[1]) {
  return addModel(await writeFiles(path.join(repository.root, name), files), options, repository.context);
}

/** A network of 8 x 8 pixels with a mask of 6 x 6, 36 boxes and, if asked for, three scores. */
function detector(...heads: ('mask' | 'boxes' | 'kind')[]): tf.LayersModel {
  const input = tf.input({ shape: [8, 8, 3] });
  const features = tf.layers.conv2d({ filters: 4, kernelSize: 3 }).apply(input) as tf.SymbolicTensor;
  const pooled = tf.layers.globalAveragePooling2d({}).apply(features);
  const outputs = {
    mask: () => tf.layers.conv2d({ name: 'mask', filters: 2, kernelSize: 1, activation: 'softmax' }).apply(features),
    boxes: () => tf.layers.reshape({ name: 'places', targetShape: [36, 4] }).apply(features),
    kind: () => tf.layers.dense({ name: 'kind', units: 3, activation: 'softmax' }).apply(pooled),
  };
  return tf.model({ inputs: input, outputs: heads.map((head) => outputs[head]() as tf.SymbolicTensor) });
}

describe('a layers model', () => {
  test('with a mask is refused, and served without labels if that is asked for', async () => {
    const files = await filesOf(detector('mask'));
    await expect(add('net', files, {})).rejects.toThrow(
      /no output with a score per class: mask gives 6 x 6 x 2 numbers, which are a mask .*: --outputs mask=tensor$/,
    );
    await expect(add('net', files, { output: 'mask' })).rejects.toThrow(/mask gives 6 x 6 x 2 numbers/);
    const labels = parseOutputRequests('mask=labels');
    await expect(add('net', files, { outputs: labels })).rejects.toThrow(
      /--outputs: mask gives .*: mask=tensor serves/,
    );
    const model = await add('net', files, { outputs: parseOutputRequests('mask=tensor') });
    expect(model.classCount).toBe(0);
    expect(model.outputs).toEqual([{ type: 'tensor', name: 'mask', shape: [6, 6, 2], dtype: 'float32', from: 'mask' }]);
    expect(printed()).toMatch(/compared with tfjs on 5 images: the largest difference is \d/);
  });

  test('with a mask and boxes needs no labels, whichever of them is asked for', async () => {
    const files = await filesOf(detector('mask', 'boxes'));
    await expect(add('net', files, {})).rejects.toThrow(
      /mask gives 6 x 6 x 2 numbers.*; places gives 36 x 4 numbers, which are boxes .*: --outputs mask=tensor,places=tensor$/,
    );
    const model = await add('net', files, { outputs: parseOutputRequests('places=tensor') });
    expect(model.labels).toEqual([]);
    expect(model.outputs).toEqual([expect.objectContaining({ name: 'places', shape: [36, 4] })]);
    expect(printed()).toMatch(/not served +mask \(6 x 6 x 2\) +read +--outputs mask=tensor serves it/);
  });

  test('whose only scores are one of its outputs is served with these', async () => {
    const model = await add('net', await filesOf(detector('mask', 'kind')), {});
    expect(model.spec.output).toEqual({ activation: 'softmax', name: 'kind' });
    expect(model.classCount).toBe(3);
    expect(printed()).toMatch(/output +kind +read +of mask \(6 x 6 x 2\), kind \(3\)/);
  });

  test('with a mask is refused if its spec was written by hand', async () => {
    const modelDir = await writeFiles(path.join(repository.context.modelsDir, 'net'), {
      ...(await filesOf(detector('mask'))),
      'labels.json': JSON.stringify(Array.from({ length: 72 }, (_, i) => `class ${i}`)),
      'model.json5': `{
        source: { type: 'folder', model: 'model.json', labels: 'labels.json' }, format: 'tfjs-layers',
        input: { width: 8, height: 8, normalization: 'unit' }, output: { activation: 'softmax' } }`,
    });
    await expect(prepareModel({ modelDir, stateDir: repository.context.stateDir })).rejects.toThrow(
      /^output\.name: the model's output gives 6 x 6 x 2 numbers/,
    );
  });

  test('that only tfjs runs is refused for a score per class and moment', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [8, 8, 3], filters: 4, kernelSize: 3 }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.repeatVector({ n: 2 }),
        tf.layers.lstm({ name: 'moments', units: 4, returnSequences: true }),
      ],
    });
    await expect(add('net', await filesOf(model), {})).rejects.toThrow(/moments gives 2 x 4 numbers, which are boxes/);
  });
});

test('a graph model with a mask is refused', async () => {
  const g = new GraphWriter();
  const { modelJson, weightData } = g.model(g.node('Conv2D', ['image', g.weights(3, 3, 3, 5)], conv(1, 'SAME')));
  const files = { 'model.json': JSON.stringify(modelJson), 'weights.bin': new Uint8Array(weightData) };
  await expect(add('net', files, {})).rejects.toThrow(/output_0 gives 11 x 8 x 5 numbers, which are a mask/);
});

/** A graph's files; `end` makes its output of the features of an image. */
function graphFiles(end: (g: GraphWriter, features: string) => string, type?: string) {
  const g = new GraphWriter();
  const dtype = { type: type ?? 'DT_FLOAT' };
  g.nodes[0]!.attr.dtype = dtype;
  const image = type ? g.node('Cast', ['image'], { SrcT: dtype, DstT: { type: 'DT_FLOAT' } }) : 'image';
  const maps = g.node('Conv2D', [image, g.weights(3, 3, 3, 4)], conv(1, 'SAME'));
  const { modelJson, weightData } = g.model(end(g, maps));
  return { 'model.json': JSON.stringify(modelJson), 'weights.bin': new Uint8Array(weightData) };
}

const keepDims = { keep_dims: { b: true } };

test('a graph model with a vector of the length 1 is refused, unless names or a flag say that these are scores', async () => {
  const files = graphFiles((g, maps) => {
    const features = g.node('Mean', [maps, g.ints(1, 2)]);
    const square = g.node('Sum', [g.node('Square', [features]), g.ints(1)], keepDims);
    return g.node('Mul', [features, g.node('Rsqrt', [g.node('Maximum', [square, g.float(1e-12)])])]);
  });
  await expect(add('net', files, {})).rejects.toThrow(
    /output_0 is an embedding and not a score per class \(the model gives it the length 1\): --outputs output_0=embedding/,
  );
  expect((await add('flag', files, { output: 'output_0' })).classCount).toBe(4);
  expect((await add('names', { ...files, 'labels.txt': 'a\nb\nc\nd' }, {})).classCount).toBe(4);
});

test('logits without names may be features, and the last operator may leave open what they are', async () => {
  await add(
    'certain',
    graphFiles((g, maps) => g.node('MatMul', [g.node('Mean', [maps, g.ints(1, 2)]), g.weights(4, 3)])),
    {},
  );
  expect(printed()).toMatch(
    /activation +logits +likely +its last operator; .*features\): --outputs output_0=embedding/,
  );
  repository.printed.length = 0;
  const tanh = graphFiles((g, maps) => g.node('Tanh', [g.node('Mean', [maps, g.ints(1, 2)])]));
  await add('open', { ...tanh, 'labels.txt': 'a\nb\nc\nd' }, {});
  expect(printed()).toMatch(/activation +logits +guessed/);
  expect(printed()).not.toMatch(/features\)/);
});

test('a softmax that a graph model spells out is not done twice', async () => {
  const files = graphFiles((g, maps) => {
    const powers = g.node('Exp', [g.node('Mean', [maps, g.ints(1, 2)])]);
    return g.node('RealDiv', [powers, g.node('Sum', [powers, g.ints(1)], keepDims)]);
  });
  const { spec } = await add('net', files, {});
  expect(spec.output.activation).toBe('softmax');
});

test.each([
  [30, /above 12: it is a quantity, such as an age/],
  [0.4, /within 0\.\.1: if it is a probability already, give --activation sigmoid/],
  [-3, undefined],
])('one number near %d is doubted as a logit: %s', async (about, doubt) => {
  const files = graphFiles((g, maps) => {
    const mean = g.node('Mean', [maps, g.ints(1, 2, 3)], keepDims);
    const row = g.node('Reshape', [g.node('Mul', [g.node('Tanh', [mean]), g.float(0.1)]), g.ints(-1, 1)]);
    return g.node('AddV2', [row, g.float(about)]);
  });
  await add('net', files, {});
  if (doubt) expect(printed()).toMatch(doubt);
  else expect(printed()).not.toMatch(/number that it gives for each sample/);
  repository.printed.length = 0;
  await add('given', files, { activation: 'logits-sigmoid' });
  expect(printed()).not.toMatch(/number that it gives for each sample/);
});

test('tfjs gets whole numbers for a graph that takes these and that only tfjs runs', async () => {
  const files = graphFiles((g, maps) => {
    const sums = g.node('Cumsum', [g.node('Mean', [maps, g.ints(1, 2)]), g.int(1)]);
    return g.node('Softmax', [sums]);
  }, 'DT_INT32');
  const model = await add('net', files, { normalization: 'none' });
  expect(model.onnxPath).toBeUndefined();
  expect(model.classCount).toBe(4);
  const boxes = graphFiles((g, maps) => g.node('Cumsum', [maps, g.int(1)]), 'DT_INT32');
  await expect(add('boxes', boxes, {})).rejects.toThrow(
    /output_0 gives 11 x 8 x 4 numbers.*: --outputs output_0=tensor:11x8x4$/,
  );
  const tensor = await add('tensor', boxes, { outputs: parseOutputRequests('output_0=tensor:11x8x4') });
  expect(tensor.outputs).toEqual([expect.objectContaining({ name: 'output_0', shape: [11, 8, 4] })]);
});

test('an ONNX file with boxes is refused with the way out, and served without labels if that is asked for', async () => {
  const step = (op: string, output: string) => ({ op, inputs: ['image'], outputs: [output], attributes: {} });
  const port = (name: string, shape: number[]) => ({ name, type: 'float32' as const, shape: [BATCH, ...shape] });
  const graph = {
    nodes: [step('Relu', 'boxes'), step('GlobalAveragePool', 'scores')],
    constants: new Map(),
    inputs: [port('image', [3, 8, 8])],
    outputs: [port('boxes', [3, 8, 8]), port('scores', [3, 1, 1])],
  };
  const file = path.join(repository.root, 'net.onnx');
  await writeFile(file, encodeModel(graph, 'net'));
  await expect(addModel(file, {}, repository.context)).rejects.toThrow(
    /detects objects in images.*: --outputs boxes=tensor,scores=tensor$/,
  );
  // What is left are not the scores of the image's classes.
  const model = await addModel(file, { outputs: parseOutputRequests('boxes=tensor') }, repository.context);
  expect(model.labels).toEqual([]);
  expect(model.outputs.map(({ name }) => name)).toEqual(['boxes']);
  const heads = parseOutputRequests('boxes=labels');
  await expect(addModel(file, { name: 'heads', outputs: heads }, repository.context)).rejects.toThrow(
    /--outputs: boxes gives 3 x 8 x 8 numbers.*: boxes=tensor serves it/,
  );
});
