/** What `models add` says of models that were once served wrongly, or refused with a sentence that led nowhere. */
import { cp, rm } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { GraphWriter, ints, text } from '../golden/graph-writer.fixture.ts';
import { layerFile } from '../golden/layer-files.fixture.ts';
import { addModel } from './add.ts';
import { listModels } from './command-context.ts';
import { filesOf, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();
const inRoot = (name: string) => path.join(repository.root, name);
const printed = () => repository.printed.join('\n');
const exported = ({ modelJson, weightData }: { modelJson: unknown; weightData: ArrayBuffer }) => ({
  'model.json': JSON.stringify(modelJson),
  'weights.bin': new Uint8Array(weightData),
});

test.each(['2.15.0', '3.15.1'] as const)(
  'a layer of Keras %s that is not understood is refused by its name, with the way out, and no engine is promised',
  async (version) => {
    const file = layerFile(version, [{ class_name: 'Lambda', config: { function: 'x' } }]);
    const folder = await writeFiles(inRoot('lambda'), exported(file));
    const error = await addModel(folder, {}, repository.context).catch((cause: Error) => cause);
    expect((error as Error).message).toMatch(
      /does not cover Lambda: .*layer l0.*An ONNX file says every operation: .*keras\.Model\(model\.input, model\(model\.input, training=False\)\)\.export\('folder'\).*tf2onnx\.convert --saved-model folder/,
    );
    expect((error as Error).message).not.toMatch(/--labels|another engine|damaged/);
    expect(await listModels(repository.context.modelsDir)).toEqual([]);
  },
);

test.each([
  [
    'subclass',
    /does not cover Classifier: it is a subclass of keras\.Model, whose code the file lacks\. An ONNX file says/,
  ],
  ['channels-first', /takes 3 x 16 x 16, channels first: expected channels last\. An ONNX file says/],
  ['channels-first-inside', /does not cover data_format channels_first: layer conv2d\w*\. An ONNX file says/],
  ['int8', /holds 8 bits of a quantized model: save the model before model\.quantize\(\)/],
  ['bfloat16', /is of type "unknown", which is not read .*: build the model once more after keras\.config\.set_dtype/],
])('a file of Keras 3 that cannot be read says why: %s', async (name, message) => {
  const file = path.join(import.meta.dirname, `../golden/keras/refused/${name}.keras`);
  await expect(addModel(file, {}, repository.context)).rejects.toThrow(message);
});

describe('a graph whose op the converter does not know is refused by the name of the op, with the way out', () => {
  /** A classifier that ends in the given op of its five scores. */
  const endingIn = (op: string) => {
    const graph = new GraphWriter();
    const pooled = graph.node('Mean', ['image', graph.ints(1, 2)], { keep_dims: { b: false } });
    return graph.model(graph.node(op, [graph.node('MatMul', [pooled, graph.weights(3, 5)])]));
  };
  const refusalOf = async (files: Parameters<typeof exported>[0]) => {
    const folder = await writeFiles(inRoot('refused'), exported(files));
    const error = await addModel(folder, {}, repository.context).catch((cause: Error) => cause);
    const { message } = error as Error;
    expect(message).toMatch(
      /Add an ONNX file of the SavedModel that it was made from: python -m tf2onnx\.convert .*; or the model's \.keras/,
    );
    expect(message).not.toMatch(/damaged/);
    return message;
  };

  test('that tfjs answers with NaN', async () => {
    expect(await refusalOf(endingIn('Acosh'))).toMatch(
      /NaN or infinity: only tfjs runs it, and may compute it wrongly, because the converter does not cover Acosh: node Acosh_\d+/,
    );
  });

  test('that tfjs does not know either', async () => {
    const both =
      /no engine runs it: onnxruntime: .* does not cover SparseMystery: node SparseMystery_\d+; wasm: .*SparseMystery/;
    expect(await refusalOf(endingIn('SparseMystery'))).toMatch(both);
  });

  test('whose attribute tfjs ignores', async () => {
    const graph = new GraphWriter();
    const window = { ksize: ints(1, 1, 2, 2), strides: ints(1, 1, 2, 2), padding: { s: text('VALID') } };
    const pooled = graph.node('MaxPool', ['image'], { ...window, data_format: { s: text('NCHW') } });
    const scores = graph.node('Mean', [pooled, graph.ints(1, 2)], { keep_dims: { b: false } });
    expect(await refusalOf(graph.model(graph.node('Softmax', [scores])))).toMatch(
      /does not cover MaxPool: data_format nchw, .*; wasm: tfjs takes nchw for channels last: node MaxPool_\d+ \(MaxPool\)/,
    );
  });
});

test('an open size is taken as 224 with a note, and another is taken from the command line', async () => {
  const open = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [null, null, 3], filters: 4, kernelSize: 3, activation: 'relu' }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 3, activation: 'softmax' }),
    ],
  });
  const folder = await writeFiles(inRoot('open'), await filesOf(open));
  expect((await addModel(folder, {}, repository.context)).spec.input).toMatchObject({ width: 224, height: 224 });
  expect(printed()).toMatch(/size +224 x 224 +guessed +the model leaves it open: --width, --height/);
  const sized = await addModel(folder, { name: 'sized', width: 48, height: 32 }, repository.context);
  expect(sized.spec.input).toMatchObject({ width: 48, height: 32 });
});

test('answers of NaN are called so, with and without samples', async () => {
  const files = await filesOf(network());
  const bytes = new Uint8Array((files['weights.bin'] as Uint8Array).length);
  new Float32Array(bytes.buffer).fill(Number.NaN);
  const folder = await writeFiles(inRoot('broken'), { ...files, 'weights.bin': bytes });
  const message = /NaN or infinity: check the normalization, .*whether its weights are damaged/;
  await expect(addModel(folder, {}, repository.context)).rejects.toThrow(message);
  await rm(path.join(repository.context.modelsDir, 'samples'), { recursive: true });
  await expect(addModel(folder, {}, repository.context)).rejects.toThrow(message);
});

test("in another folder of models, a model is tried on the project's samples, and without any on noise", async () => {
  const folder = await writeFiles(inRoot('net'), await filesOf(network()));
  const samples = path.join(repository.context.modelsDir, 'samples');
  await cp(samples, inRoot('samples'), { recursive: true });
  await rm(samples, { recursive: true });
  await addModel(folder, {}, { ...repository.context, samplesDir: inRoot('samples') });
  expect(printed()).toMatch(/chelsea\.png: class \d.*\n(.*\n)*.*compared with tfjs on 5 images/);
  repository.printed.length = 0;
  await addModel(folder, { name: 'noise' }, repository.context);
  expect(printed()).toMatch(/there are no samples to try it on: .*yourself/);
  expect(printed()).toMatch(/compared with tfjs on 2 images/);
});

describe('several answers, or one', () => {
  test('a graph model of two outputs asks for --output, and serves that one', async () => {
    const graph = new GraphWriter();
    const format = { data_format: { s: 'TkhXQw==' }, padding: { s: 'U0FNRQ==' }, strides: ints(1, 1, 1, 1) };
    const convolved = graph.node('Conv2D', ['image', graph.weights(3, 3, 3, 4)], format);
    const pooled = graph.node('Mean', [convolved, graph.ints(1, 2)], { keep_dims: { b: false } });
    const heads = [3, 5].map((units) =>
      graph.node('Softmax', [graph.node('MatMul', [pooled, graph.weights(4, units)])]),
    );
    const { modelJson, weightData } = graph.model(...heads);
    const files = exported({ modelJson, weightData });
    const folder = await writeFiles(inRoot('heads'), files);
    await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
      /2 outputs: choose one with --output: output_0 \(3\), output_1 \(5\); --outputs serves others in addition/,
    );
    expect((await addModel(folder, { output: 'output_1' }, repository.context)).classCount).toBe(5);
  });

  test('one number per image takes two names', async () => {
    for (const activation of ['sigmoid', 'linear'] as const) {
      const files = { ...(await filesOf(network(activation, 1))), 'labels.txt': 'cat\ndog' };
      const model = await addModel(await writeFiles(inRoot(activation), files), {}, repository.context);
      expect(model).toMatchObject({ classCount: 2, labels: ['cat', 'dog'] });
      expect(printed()).toMatch(/chelsea\.png: (cat|dog) [\d.]+ %, (cat|dog) [\d.]+ %/);
    }
  });

  test('Flatten as the first layer of a color image is served', async () => {
    const flat = tf.sequential({
      layers: [
        tf.layers.flatten({ inputShape: [8, 6, 3] }),
        tf.layers.dense({ units: 4, activation: 'relu' }),
        tf.layers.dense({ units: 3, activation: 'softmax' }),
      ],
    });
    const model = await addModel(await writeFiles(inRoot('flat'), await filesOf(flat)), {}, repository.context);
    expect(model.spec.input).toMatchObject({ width: 6, height: 8, channels: 3 });
    expect(printed()).toMatch(/compared with tfjs on 5 images: the largest difference is/);
  });
});
