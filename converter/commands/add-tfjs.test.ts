/** `models add` of tfjs models: what it detects in them, and how it compares what it made with tfjs. */
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { GraphWriter } from '../golden/graph-writer.fixture.ts';
import { conv } from '../golden/graphs.fixture.ts';
import { addModel } from './add.ts';
import { listModels } from './command-context.ts';
import { compareWithTfjs } from './compare.ts';
import { filesOf, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

test('detects what a model does with pixels before its first layer', async () => {
  const input = tf.input({ shape: [8, 8, 3] });
  const front = (scale: number, offset: number) => {
    const pixels = tf.layers.rescaling({ scale, offset }).apply(input);
    const conv = tf.layers.conv2d({ filters: 3, kernelSize: 3 }).apply(pixels);
    const pooled = tf.layers.globalAveragePooling2d({}).apply(conv);
    return tf.model({ inputs: input, outputs: tf.layers.dense({ units: 1 }).apply(pooled) as tf.SymbolicTensor });
  };
  const cases: [string, number, number, string][] = [
    ['bytes', 1 / 255, 0, 'none'],
    ['bytes-to-both-sides', 1 / 127.5, -1, 'none'],
    ['unit-to-both-sides', 2, -1, 'unit'],
  ];
  // What a file next to the model says is inside the model, and must not be done twice.
  const half = [0.5, 0.5, 0.5];
  const processor = {
    do_rescale: true,
    do_normalize: true,
    image_mean: half,
    image_std: half,
    size: { height: 8, width: 8 },
  };
  for (const [name, scale, offset, expected] of cases) {
    const files = await filesOf(front(scale, offset));
    if (name === 'bytes-to-both-sides') Object.assign(files, { 'preprocessor_config.json': JSON.stringify(processor) });
    const folder = await writeFiles(path.join(repository.root, name), files);
    const { spec } = await addModel(folder, {}, repository.context);
    expect(spec.input.normalization, name).toBe(expected);
    // A softmax of one number would always be one.
    expect(spec.output.activation).toBe('logits-sigmoid');
  }
});

test('asks which of several outputs to serve, and serves that one', async () => {
  const input = tf.input({ shape: [8, 8, 3] });
  const pooled = tf.layers.globalAveragePooling2d({}).apply(input) as tf.SymbolicTensor;
  const head = (name: string, units: number) =>
    tf.layers.dense({ name, units, activation: 'softmax' }).apply(pooled) as tf.SymbolicTensor;
  const files = await filesOf(tf.model({ inputs: input, outputs: [head('kind', 2), head('color', 4)] }));
  const folder = await writeFiles(path.join(repository.root, 'heads'), files);
  await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
    /2 outputs: choose one with --output: kind \(2\), color \(4\)/,
  );
  await expect(addModel(folder, { output: 'size' }, repository.context)).rejects.toThrow(
    /--output: expected one of kind, color/,
  );
  const model = await addModel(folder, { output: 'color' }, repository.context);
  expect(model.classCount).toBe(4);
  expect(model.spec.output).toEqual({ activation: 'softmax', name: 'color' });
});

test('takes grayscale images without a dimension for their channel, and pixels in a row', async () => {
  const shapes: [string, number[], object][] = [
    ['rows', [8, 8], { width: 8, height: 8, channels: 1 }],
    ['row', [108], { width: 6, height: 6, channels: 3 }],
  ];
  for (const [name, inputShape, input] of shapes) {
    const answer = { units: 2, activation: 'softmax' } as const;
    const layers =
      name === 'row'
        ? [tf.layers.dense({ ...answer, inputShape })]
        : [tf.layers.flatten({ inputShape }), tf.layers.dense(answer)];
    const model = tf.sequential({ layers });
    const added = await addModel(
      await writeFiles(path.join(repository.root, name), await filesOf(model)),
      {},
      repository.context,
    );
    expect(added.spec.input).toMatchObject(input);
  }
});

test('names the layer that the converter does not cover, and tries the model on the engine that runs everything', async () => {
  const recurrent = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [32, 32, 3], filters: 4, kernelSize: 3, strides: 2, activation: 'relu' }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.repeatVector({ n: 2 }),
      tf.layers.lstm({ units: 4 }),
      tf.layers.dense({ units: 3, activation: 'softmax' }),
    ],
  });
  const files: Record<string, string | Uint8Array> = { ...(await filesOf(recurrent)), 'labels.txt': 'a\nb\nc' };
  const model = await addModel(await writeFiles(path.join(repository.root, 'odd'), files), {}, repository.context);
  expect(model.onnxPath).toBeUndefined();
  expect(model.onnxUnavailable).toContain('RepeatVector');
  expect(repository.printed.join('\n')).toMatch(/RepeatVector.*\n.*chelsea\.png: [abc] \d/);
  const json = String(files['model.json']).replace('"RepeatVector"', '"CapsuleRouting"');
  const strange = await writeFiles(path.join(repository.root, 'strange'), { ...files, 'model.json': json });
  await expect(addModel(strange, {}, repository.context)).rejects.toThrow(
    /does not cover CapsuleRouting.*wasm.*CapsuleRouting/s,
  );
  expect(await listModels(repository.context.modelsDir)).toEqual(['odd']);
});

test('a converted model whose answers differ from those of tfjs is rejected', async () => {
  const [one, two] = ['one', 'two'].map((name) => path.join(repository.root, name)) as [string, string];
  const first = await addModel(await writeFiles(one, await filesOf(network())), {}, repository.context);
  const other = network();
  const second = await addModel(
    await writeFiles(two, await filesOf(other)),
    { activation: 'sigmoid' },
    repository.context,
  );
  await expect(compareWithTfjs(first, repository.context)).resolves.toBeUndefined();
  // As if the converter had read another model.
  const wrong = { ...first, spec: { ...first.spec, input: { ...first.spec.input, normalization: 'tf' as const } } };
  await expect(compareWithTfjs(wrong, repository.context)).rejects.toThrow(/differs from tfjs by .*it is not added/);
  repository.printed.length = 0;
  await compareWithTfjs({ ...second, tfjsPath: path.join(repository.root, 'nowhere.json') }, repository.context);
  expect(repository.printed.join()).toMatch(/not compared with tfjs, which cannot run it/);
});

test('gives a graph of whole numbers the bytes of images, without a guess', async () => {
  const g = new GraphWriter();
  const type = { type: 'DT_INT32' };
  g.nodes[0]!.attr.dtype = type;
  const image = g.node('Cast', ['image'], { SrcT: type, DstT: { type: 'DT_FLOAT' } });
  const features = g.node('Conv2D', [image, g.weights(3, 3, 3, 3)], conv(1, 'SAME'));
  const { modelJson, weightData } = g.model(g.node('Softmax', [g.node('Mean', [features, g.ints(1, 2)])]));
  const files = { 'model.json': JSON.stringify(modelJson), 'weights.bin': new Uint8Array(weightData) };
  const { spec } = await addModel(await writeFiles(path.join(repository.root, 'whole'), files), {}, repository.context);
  expect(spec.input.normalization).toBe('none');
  expect(repository.printed.join('\n')).toMatch(/normalization +none \(0\.\.255\) +read +it takes int32/);
});

test('a model of several in a folder, each with its name', async () => {
  const files = await filesOf(network());
  const json = String(files['model.json']).replaceAll('"conv2d_', '"normalize_conv2d_');
  const weights = { 'weights.bin': files['weights.bin']!, 'labels.txt': 'a\nb\nc' };
  const folder = await writeFiles(path.join(repository.root, 'both'), {
    'one.json': json,
    'two.json': json,
    ...weights,
  });
  await expect(addModel(folder, {}, repository.context)).rejects.toThrow(
    /expected one model\.json.*, found one\.json, two\.json: give the path of one of them/,
  );
  await addModel(path.join(folder, 'one.json'), {}, repository.context);
  // Nodes and weights have such names in each of them.
  expect(repository.printed.join('\n')).toMatch(/normalization.*guessed/);
  expect(repository.printed.join('\n')).not.toMatch(/beside it mentions/);
});
