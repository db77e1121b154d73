import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { addModel } from './add.ts';
import { checkModels } from './check.ts';
import { quantizeModel } from './quantize.ts';
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

test('models quantize writes ranges beside the spec and reports on images that were not used for calibration', async () => {
  await addModel(await writeFiles(path.join(repository.root, 'net'), await filesOf(network())), {}, repository.context);
  const report = await quantizeModel('net', path.join(repository.context.modelsDir, 'samples'), repository.context);
  expect(report).toMatchObject({ images: 1 });
  const text = await readFile(path.join(repository.context.modelsDir, 'net/calibration.json'), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ images: 2 });
  expect(repository.printed.join('\n')).toMatch(/times as fast/);
});

test('models quantize refuses a version that agrees on too few images, and writes nothing', async () => {
  await addModel(await writeFiles(path.join(repository.root, 'net'), await filesOf(network())), {}, repository.context);
  const images = path.join(repository.context.modelsDir, 'samples');
  await expect(quantizeModel('net', images, repository.context, 1.01)).rejects.toThrow(
    /refused: int8 and float32 agree on \d+\.\d % of 1 images, less than 101\.0 %/,
  );
  expect(await readdir(path.join(repository.context.modelsDir, 'net'))).not.toContain('calibration.json');
});
