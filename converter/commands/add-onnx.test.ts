import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import onnxProto from 'onnx-proto';
import { beforeEach, describe, expect, test } from 'vitest';
import { createRandom } from '../golden/harness.fixture.ts';
import { encodeClassifier } from '../golden/onnx-file.fixture.ts';
import { encodeModel } from '../onnx-writer/graph/encode-onnx.ts';
import { BATCH, floatTensor, type OnnxNode } from '../onnx-writer/graph/graph.ts';
import { addModel } from './add.ts';
import { useRepository } from './test-repository.fixture.ts';

const { onnx } = onnxProto;
const CLASSES = 4;

const repository = useRepository();
beforeEach(() => writeFile(path.join(repository.root, 'labels.txt'), 'a\nb\nc\nd'));

/** A classifier of 8 x 8 images, [N, 3, 8, 8], that ends in the given operators. */
async function writeClassifier(name: string, ...endings: string[]): Promise<string> {
  const random = createRandom(7);
  const size = 3 * 8 * 8;
  const kernel = Float32Array.from({ length: size * CLASSES }, () => (random() - 0.5) / 4);
  const names = ['logits', ...endings.map((_, i) => `e${i}`)];
  const nodes: OnnxNode[] = [
    { op: 'Flatten', inputs: ['input'], outputs: ['flat'], attributes: { axis: { int: 1 } } },
    { op: 'MatMul', inputs: ['flat', 'kernel'], outputs: ['logits'], attributes: {} },
    ...endings.map((op, i) => ({ op, inputs: [names[i] ?? ''], outputs: [names[i + 1] ?? ''], attributes: {} })),
  ];
  const output = names.at(-1) ?? '';
  const bytes = encodeModel(
    {
      nodes,
      constants: new Map([['kernel', floatTensor([size, CLASSES], kernel)]]),
      inputs: [{ name: 'input', type: 'float32', shape: [BATCH, 3, 8, 8] }],
      outputs: [{ name: output, type: 'float32', shape: [BATCH, CLASSES] }],
    },
    name,
  );
  const file = path.join(repository.root, `${name}.onnx`);
  await writeFile(file, bytes);
  return file;
}

describe('models add of an ONNX file', () => {
  test.each([
    ['softmax', ['Softmax', 'Identity']],
    ['sigmoid', ['Sigmoid']],
    ['logits', ['LogSoftmax']],
    ['logits', []],
  ] as const)('reads the activation %s from an end in %j', async (activation, endings) => {
    const file = await writeClassifier('net', ...endings);
    const options = { labels: path.join(repository.root, 'labels.txt'), width: 8, height: 8 };
    const model = await addModel(file, options, repository.context);
    expect(model.spec.output.activation).toBe(activation);
  });

  test('says how sure it is of the normalization, and warns if nothing confirms it', async () => {
    const warning = 'nothing confirms the normalization';
    const printed = () => repository.printed.splice(0).join('\n');
    const labels = path.join(repository.root, 'labels.txt');
    const file = await writeClassifier('net');
    await addModel(file, { labels }, repository.context);
    const guess = printed();
    expect(guess).toMatch(/normalization +torch .* guessed +nothing in the file says it/);
    expect(guess).toContain(warning);
    await addModel(file, { labels, name: 'sure', normalization: 'unit' }, repository.context);
    expect(printed()).not.toContain(warning);
    const pytorch = path.resolve(import.meta.dirname, '../test/exported/torch-opset17');
    await addModel(pytorch, {}, repository.context);
    const usual = printed();
    expect(usual).toMatch(/normalization +torch .* guessed +usual for PyTorch/);
    expect(usual).toContain(warning);
  });

  test('names what may say the normalization: a description in the file, and files beside it', async () => {
    const file = await writeClassifier('net');
    const model = onnx.ModelProto.decode(await readFile(file));
    model.graph!.docString = 'a classifier;\n input is already-normalized RGB';
    await writeFile(file, onnx.ModelProto.encode(model).finish());
    const beside = path.dirname(file);
    await writeFile(
      path.join(beside, 'manifest.json'),
      '{"normalization": {"means": [122, 117, 104], "scale": 0.004}}',
    );
    await writeFile(path.join(beside, 'README.md'), 'A model of means of transport.');
    await writeFile(path.join(beside, 'notes.json'), '{"author": "somebody"}');
    const flags = { labels: path.join(repository.root, 'labels.txt') };
    await addModel(file, flags, repository.context);
    const printed = repository.printed.splice(0).join('\n');
    expect(printed).toContain('the file describes itself: "a classifier; input is already-normalized RGB"');
    expect(printed).toContain(
      'manifest.json beside it mentions a mean or a normalization (normalization: means 122,117,104, scale 0.004): if it has',
    );
    expect(printed).not.toMatch(/notes\.json|README/);
    await addModel(file, { ...flags, name: 'sure', mean: [122, 117, 104], scale: 1 / 256 }, repository.context);
    expect(repository.printed.join('\n')).not.toMatch(/manifest\.json|describes itself/);
  });

  test('refuses the number of the best class instead of scores, and says what to do', async () => {
    const file = await writeClassifier('best', 'ArgMax');
    const model = onnx.ModelProto.decode(await readFile(file));
    model.graph!.output![0]!.type!.tensorType!.elemType = onnx.TensorProto.DataType.INT64;
    await writeFile(file, onnx.ModelProto.encode(model).finish());
    await expect(addModel(file, {}, repository.context)).rejects.toThrow(
      /e0 gives whole numbers.*; export it with a score per class as an output, or serve it without labels: --outputs e0=tensor$/,
    );
  });

  test.each([
    ['TopK', 2],
    ['ReduceMax', 1],
  ])('refuses the best scores without their classes: %s', async (op, count) => {
    const file = await writeClassifier('best', op);
    const model = onnx.ModelProto.decode(await readFile(file));
    model.graph!.output![0]!.type!.tensorType!.shape!.dim![1]!.dimValue = count;
    await writeFile(file, onnx.ModelProto.encode(model).finish());
    await expect(addModel(file, {}, repository.context)).rejects.toThrow(
      'e0 gives the best scores only, and not those of all classes; export it with a score per class as an output',
    );
  });

  test('refuses logarithms of sigmoids, which are neither logits nor probabilities', async () => {
    const file = await writeClassifier('logarithms', 'Sigmoid', 'Log');
    await expect(addModel(file, {}, repository.context)).rejects.toThrow(
      /gives the logarithms of sigmoids \(LogSigmoid\).*--activation logits-sigmoid/,
    );
  });

  test('refuses percentages, whose softmax would be another answer', async () => {
    const file = await writeClassifier('percent', 'Softmax', 'Mul');
    const model = onnx.ModelProto.decode(await readFile(file));
    model.graph!.node!.at(-1)!.input!.push('hundred');
    model.graph!.initializer!.push({ name: 'hundred', dataType: onnx.TensorProto.DataType.FLOAT, floatData: [100] });
    await writeFile(file, onnx.ModelProto.encode(model).finish());
    await expect(addModel(file, {}, repository.context)).rejects.toThrow(
      'the scores that it gives for each image sum to 100, as percentages do: export it with probabilities, which sum to 1',
    );
  });

  test('refuses to apply a softmax to probabilities', async () => {
    const file = await writeClassifier('net', 'Softmax');
    const options = {
      labels: path.join(repository.root, 'labels.txt'),
      width: 8,
      height: 8,
      activation: 'logits',
    } as const;
    await expect(addModel(file, options, repository.context)).rejects.toThrow(
      'ends in Softmax already: expected softmax',
    );
  });
});

describe('models add at a terminal', () => {
  /** Answers one question after another, and records the questions. */
  function answerWith(...answers: string[]): string[] {
    const asked: string[] = [];
    repository.context.ask = async (question) => {
      asked.push(question);
      return answers.shift() ?? '';
    };
    return asked;
  }

  /** In a folder without labels. */
  async function writeAlone(bytes: Uint8Array): Promise<string> {
    const file = path.join(repository.root, 'alone', 'net.onnx');
    await mkdir(path.dirname(file));
    await writeFile(file, bytes);
    return file;
  }

  test('asks for a guessed normalization and for class names, until the answers are valid', async () => {
    const file = await writeAlone(encodeClassifier());
    await writeFile(path.join(repository.root, 'two.txt'), 'a\nb');
    const [two, four] = ['two.txt', 'labels.txt'].map((name) => path.join(repository.root, name));
    const asked = answerWith('imagenet', '0.5,0.5 / 0.5', '0.48,0.46,0.41 / 0.27,0.26,0.28', two ?? '', four ?? '');
    const model = await addModel(file, {}, repository.context);
    expect(model.spec.input.normalization).toEqual({
      scale: 1 / 255,
      mean: [0.48, 0.46, 0.41],
      std: [0.27, 0.26, 0.28],
      order: 'rgb',
    });
    expect(model.labels).toEqual(['a', 'b', 'c', 'd']);
    expect(asked).toHaveLength(5);
    expect(asked[1]).toContain('expected caffe, tf, torch, unit, none, or numbers');
    expect(asked[4]).toContain('two.txt names 2 classes, the model has 4');
    expect(repository.printed.join('\n')).toMatch(/normalization +mean 0\.48\/0\.46\/0\.41.* given +your answer/);
  });

  test('uses the guesses if nothing is answered', async () => {
    const file = await writeAlone(encodeClassifier());
    const asked = answerWith('', '');
    const model = await addModel(file, {}, repository.context);
    expect(model.spec.input.normalization).toBe('torch');
    expect(model.labels).toEqual(['class 0', 'class 1', 'class 2', 'class 3']);
    expect(asked).toHaveLength(2);
  });

  test.each(['first', 'last'] as const)(
    'asks which output has the scores if the features come %s',
    async (features) => {
      const file = await writeAlone(encodeClassifier({ features }));
      const asked = answerWith('scores', 'logits');
      const model = await addModel(file, { normalization: 'unit' }, repository.context);
      expect(model.spec.output.name).toBe('logits');
      expect(model.classCount).toBe(4);
      expect(asked[1]).toMatch(/expected one of .*features/);
      delete repository.context.ask;
      await expect(addModel(file, { name: 'other' }, repository.context)).rejects.toThrow(
        /--output: .*features.*name the one/,
      );
      const labels = path.join(repository.root, 'labels.txt');
      const byLabels = await addModel(file, { name: 'third', labels }, repository.context);
      expect(byLabels.spec.output.name).toBe('logits');
    },
  );

  test('does not ask for what the command line says', async () => {
    const file = await writeAlone(encodeClassifier());
    const asked = answerWith();
    const labels = path.join(repository.root, 'labels.txt');
    const model = await addModel(file, { mean: [104, 117, 124], order: 'bgr', labels, batch: 2 }, repository.context);
    expect(asked).toEqual([]);
    expect(model.spec.input.normalization).toEqual({ scale: 1, mean: [104, 117, 124], std: [1], order: 'bgr' });
    expect(model.spec.batching.maxBatchSize).toBe(2);
    await expect(addModel(file, { name: 'b', normalization: 'tf', mean: [1] }, repository.context)).rejects.toThrow(
      /either a name, or/,
    );
  });
});

test('an ONNX file that names its dimensions, and whose operators do not show their sizes, leaves a guess of the channels', async () => {
  const model = onnx.ModelProto.decode(encodeClassifier({ front: [['Max', -1e9]] }));
  const names = ['batch_size', 'num_channels', 'height', 'width'];
  model.graph!.input![0]!.type!.tensorType!.shape = { dim: names.map((dimParam) => ({ dimParam })) };
  const file = path.join(repository.root, 'open.onnx');
  await writeFile(file, onnx.ModelProto.encode(model).finish());
  await addModel(file, { width: 8, height: 8, normalization: 'unit' }, repository.context);
  expect(repository.printed.join('\n')).toMatch(
    /channels +3, nchw, float32 +guessed +the file leaves them open: --channels/,
  );
});
