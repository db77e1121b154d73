import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addModel } from '../commands/add.ts';
import { createContext } from '../commands/command-context.fixture.ts';
import type { CommandContext } from '../commands/command-context.ts';

let root: string;
let context: CommandContext;

beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'inferql-foreign-'));
  ({ context } = createContext(root));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
}

test.each([
  [
    'a SavedModel',
    { 'net/saved_model.pb': '', 'net/variables/variables.index': '' },
    'net',
    /tf2onnx\.convert --saved-model .*\/net --output/,
  ],
  ['a SavedModel inside', { 'net/1/saved_model.pb': '' }, 'net', /--saved-model .*\/net\/1 --output/],
  ['TensorFlow Lite', { 'm.tflite': '' }, 'm.tflite', /tf2onnx\.convert --tflite .*\/m\.tflite --output model\.onnx/],
  ['TensorFlow Lite in a folder', { 'net/a b.tflite': '' }, 'net', /--tflite '.*\/a b\.tflite'/],
  ['a frozen graph', { 'g.pb': '' }, 'g.pb', /tf2onnx\.convert --graphdef/],
  [
    'PyTorch',
    { 'm.pt': 'PK\u0003\u0004' },
    'm.pt',
    /PyTorch checkpoint.*torch\.onnx\.export.*docs\/export-your-model\.md/,
  ],
  ['PyTorch .pth', { 'm.pth': '' }, 'm.pth', /PyTorch checkpoint/],
  [
    'ultralytics',
    { 'best.pt': 'PK...cultralytics.nn.tasks' },
    'best.pt',
    /yolo export model=.*best\.pt format=onnx imgsz=224/,
  ],
  ['fastai', { 'export.pkl': '' }, 'export.pkl', /fastai/],
  ['weights alone', { 'w.safetensors': '' }, 'w.safetensors', /weights without the model/],
  [
    'Hugging Face',
    { 'hf/config.json': '{}', 'hf/model.safetensors': '', 'hf/preprocessor_config.json': '{}' },
    'hf',
    /optimum-cli export onnx --task image-classification --model .*\/hf .*\/hf-onnx/,
  ],
  ['scikit-learn', { 's.joblib': '' }, 's.joblib', /numbers and not images/],
  ['Core ML', { 'm.mlmodel': '' }, 'm.mlmodel', /not read.*ONNX/],
  ['a text', { 'readme.txt': '' }, 'readme.txt', /readme\.txt: expected a folder, a \.zip, a \.onnx/],
  ['an empty folder', { 'net/readme.txt': '' }, 'net', /found none/],
])('%s is named, with what to do', async (_, files, source, message) => {
  await write(files);
  await expect(addModel(path.join(root, source), { name: 'net' }, context)).rejects.toThrow(message);
});
