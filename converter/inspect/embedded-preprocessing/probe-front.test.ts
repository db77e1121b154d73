/** What ONNX files do before their first learned operator, as their answers to test images show it. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import onnxProto, { type onnx } from 'onnx-proto';
import { afterAll, expect, test } from 'vitest';
import { localRunner } from '../../model-process/local-runner.ts';
import { readFacts } from '../../onnx-reader/inputs-and-outputs.ts';
import { readOnnx } from '../../onnx-reader/read-without-weights.ts';
import { encodeTensor } from '../../onnx-writer/graph/encode-onnx.ts';
import { floatTensor, int64Tensor } from '../../onnx-writer/graph/graph.ts';
import { probeFileFront } from './probe-front.ts';

const folder = await mkdtemp(path.join(os.tmpdir(), 'front-'));
afterAll(() => rm(folder, { recursive: true }));

const SIDE = 16;
const CONSTANTS = {
  scale: floatTensor([], [255]),
  kernel: floatTensor([2, 3, 3, 3], Array(54).fill(0.1)),
  kernelOfOne: floatTensor([2, 1, 3, 3], Array(18).fill(0.1)),
  zero: int64Tensor([0]),
  one: int64Tensor([1]),
  two: int64Tensor([2]),
  three: int64Tensor([3]),
  end: int64Tensor([-10]),
  minusOne: int64Tensor([-1]),
};

type Node = [op: string, inputs: string, outputs: string, attributes?: onnx.IAttributeProto[]];
const SLICED = { red: 'zero one', green: 'one two', blue: 'two three' };
const slice = (color: keyof typeof SLICED): Node => ['Slice', `unit ${SLICED[color]} one`, color];
const divided: Node = ['Div', 'input scale', 'unit'];

async function reading(nodes: Node[], change?: (model: onnx.IModelProto) => void) {
  const port = (name: string, dims: number[]) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  });
  const model = onnxProto.onnx.ModelProto.fromObject({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 13 }],
    graph: {
      name: 'g',
      node: nodes.map(([opType, input, output, attribute = []]) => ({
        opType,
        input: input.split(' '),
        output: output.split(' '),
        attribute,
      })),
      initializer: Object.entries(CONSTANTS).map((entry) => encodeTensor(...entry)),
      input: [port('input', [1, 3, SIDE, SIDE])],
      output: [port('y', [1, 2, SIDE - 2, SIDE - 2])],
    },
  });
  change?.(model);
  const file = path.join(folder, 'model.onnx');
  await writeFile(file, onnxProto.onnx.ModelProto.encode(model).finish());
  const decoded = readOnnx(file);
  return probeFileFront(
    decoded,
    readFacts(decoded, file),
    { width: SIDE, height: SIDE, channels: 3 },
    file,
    localRunner,
  );
}

test('a model that reads red alone does not exchange it with blue', async () => {
  expect(await reading([divided, slice('red'), ['Conv', 'red kernelOfOne', 'y']])).toMatchObject({
    shows: 'values',
    normalization: 'none',
    isOrderOpen: false,
  });
});

test('a model with a convolution for each channel does not exchange any', async () => {
  const convolutions = (['red', 'green', 'blue'] as const).map((color): Node[] => [
    slice(color),
    ['Conv', `${color} kernelOfOne`, `${color}s`],
  ]);
  const sum: Node = ['Sum', 'reds greens blues', 'y'];
  expect(await reading([divided, ...convolutions.flat(), sum])).toMatchObject({ shows: 'values', isOrderOpen: false });
});

test('a model that exchanges channels for one of its branches leaves their order open', async () => {
  const flipped: Node = ['Slice', 'unit minusOne end one minusOne', 'flipped'];
  const branches: Node[] = [
    ['Conv', 'unit kernel', 'a'],
    ['Conv', 'flipped kernel', 'b'],
    ['Add', 'a b', 'y'],
  ];
  expect(await reading([divided, flipped, ...branches])).toMatchObject({ shows: 'values', isOrderOpen: true });
});

test('an old file, whose constants are inputs, is run, too', async () => {
  const old = (model: onnx.IModelProto) => {
    model.irVersion = 3;
    const { graph } = model;
    for (const { name, dims, dataType } of graph!.initializer!) {
      const shape = { dim: dims!.map((dimValue) => ({ dimValue })) };
      graph!.input!.push({ name: name!, type: { tensorType: { elemType: dataType!, shape } } });
    }
  };
  expect(await reading([divided, ['Conv', 'unit kernel', 'y']], old)).toMatchObject({ normalization: 'none' });
});

test('a fixed batch of more values than a probe may hold is not run', async () => {
  const wide = (model: onnx.IModelProto) => {
    model.graph!.input![0]!.type!.tensorType!.shape!.dim![0] = { dimValue: 50_000 };
  };
  expect(await reading([divided, ['Conv', 'unit kernel', 'y']], wide)).toBeUndefined();
});

test('a file that names the same bytes as many constants does not fill the memory', async () => {
  const count = 8 * 1024 * 1024;
  await writeFile(path.join(folder, 'zeros.bin'), '');
  await truncate(path.join(folder, 'zeros.bin'), 4 * count);
  const shared = (copies: number) => {
    const names = Array.from({ length: copies }, (_, i) => `shared${i}`);
    const nodes = names.flatMap((name, i): Node[] => [
      ['ReduceMax', name, `${name}m`],
      ['Add', `${i === 0 ? 'unit' : `sum${i - 1}`} ${name}m`, `sum${i}`],
    ]);
    return reading([divided, ...nodes, ['Conv', `sum${copies - 1} kernel`, 'y']], ({ graph }) => {
      for (const name of names) {
        const externalData = [{ key: 'location', value: 'zeros.bin' }];
        graph!.initializer!.push({ name, dims: [count], dataType: 1, dataLocation: 1, externalData });
      }
    });
  };
  expect(await shared(1)).toMatchObject({ normalization: 'none' });
  expect(await shared(5)).toBeUndefined();
});
