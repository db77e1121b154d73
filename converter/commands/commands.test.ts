import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { encodeTwoHeads, TWO_HEADS_SPEC } from '../golden/onnx-file.fixture.ts';
import { encodeModel } from '../onnx-writer/graph/encode-onnx.ts';
import { BATCH, floatTensor } from '../onnx-writer/graph/graph.ts';
import { addModel } from './add.ts';
import { checkModels } from './check.ts';
import { printModels } from './list.ts';
import { filesOf, network, useRepository, writeFiles } from './test-repository.fixture.ts';

const repository = useRepository();

test('models check continues after a model that cannot be served', async () => {
  await addModel(
    await writeFiles(path.join(repository.root, 'good'), await filesOf(network())),
    {},
    repository.context,
  );
  const bad = path.join(repository.context.modelsDir, 'bad');
  await writeFiles(bad, { 'model.json5': "{ format: 'onnx' }" });
  expect(await checkModels([], repository.context)).toBe(1);
  expect(repository.printed.join('\n')).toMatch(/bad cannot be served: .*model\.json5/);
  expect(repository.printed.join('\n')).toMatch(/good [0-9a-f]{12}: 3 classes/);
});

test('models check shows the best labels of each sample', async () => {
  const file = path.join(repository.root, 'fixed.onnx');
  // Whatever the image: 10, 30 and 60 %.
  const constants = new Map([
    ['zeros', floatTensor([3, 3], new Float32Array(9))],
    ['logits', floatTensor([3], [1, 3, 6].map(Math.log))],
  ]);
  const step = (op: string, inputs: string[], output: string) => ({ op, inputs, outputs: [output], attributes: {} });
  const nodes = [
    step('GlobalAveragePool', ['input'], 'pooled'),
    { ...step('Flatten', ['pooled'], 'flat'), attributes: { axis: { int: 1 } } },
    step('MatMul', ['flat', 'zeros'], 'product'),
    step('Add', ['product', 'logits'], 'scores'),
  ];
  const port = (name: string, shape: number[]) => ({ name, type: 'float32' as const, shape: [BATCH, ...shape] });
  const graph = { nodes, constants, inputs: [port('input', [3, 8, 8])], outputs: [port('scores', [3])] };
  await writeFile(file, encodeModel(graph, 'fixed'));
  const labels = path.join(repository.root, 'labels.txt');
  await writeFile(labels, 'rare\nmiddle\nusual');
  await addModel(file, { labels }, repository.context);
  repository.printed.length = 0;
  expect(await checkModels(['fixed'], repository.context)).toBe(0);
  expect(repository.printed[0]).toMatch(/fixed [0-9a-f]{12}: 3 classes/);
  const samples = repository.printed.slice(1);
  expect(samples.length).toBeGreaterThan(1);
  for (const line of samples) expect(line).toMatch(/^ {2}\S+: usual 60\.0 %, middle 30\.0 %, rare 10\.0 %$/);
});

test('models check runs models with further outputs, with code, and without labels', async () => {
  const { modelsDir } = repository.context;
  const examples = path.resolve(import.meta.dirname, '../../examples/models');
  await cp(examples, modelsDir, { recursive: true });
  const { labels: _, ...source } = TWO_HEADS_SPEC.source;
  await writeFiles(path.join(modelsDir, 'vectors'), {
    'model.json5': JSON.stringify({ ...TWO_HEADS_SPEC, source, output: { activation: 'softmax' } }),
    'model.onnx': encodeTwoHeads(),
  });
  expect(await checkModels([], repository.context), repository.printed.join('\n')).toBe(0);
  const printed = repository.printed.join('\n');
  expect(printed).toMatch(/vectors [0-9a-f]{12}: 0 classes\n {2}\S+: no labels; outputs: .*vector \(embedding\)/);
  expect(printed).toMatch(/palette [0-9a-f]{12}: \d+ classes\n {2}\S+: .* %/);
  // A wrong normalization is seen in each head, and in the length of a vector.
  expect(printed).toMatch(/\n {4}color: (red|green|blue) [\d.]+ %, \w+ [\d.]+ %, \w+ [\d.]+ %/);
  expect(printed).toMatch(/\n {4}vector: embedding, 8 numbers of length [\d.]+: /);
});

test('a folder of models that does not exist is named', async () => {
  const modelsDir = path.join(repository.root, 'none');
  const expected = { code: 'SPEC_INVALID', message: `${modelsDir}: expected a folder of models (--models-dir)` };
  await expect(printModels({ ...repository.context, modelsDir })).rejects.toMatchObject(expected);
  await expect(checkModels([], { ...repository.context, modelsDir })).rejects.toMatchObject(expected);
});

test('models add does not overwrite what another command has written in the meantime', async () => {
  const { context, root } = repository;
  const target = path.join(context.modelsDir, 'good');
  const source = await writeFiles(path.join(root, 'good'), await filesOf(network()));
  let written: Promise<unknown> = Promise.resolve();
  const print = (line: string) => {
    if (line.startsWith('getting')) written = writeFiles(target, { 'model.json5': 'theirs' });
  };
  await expect(addModel(source, {}, { ...context, print })).rejects.toThrow(/written by another command/);
  await written;
  expect(await readFile(path.join(target, 'model.json5'), 'utf8')).toBe('theirs');
  expect((await readdir(context.modelsDir)).filter((name) => name.startsWith('.'))).toEqual([]);
});
