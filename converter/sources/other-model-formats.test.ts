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
  ['PyTorch .bin', { 'm.bin': 'PK\u0003\u0004' }, 'm.bin', /PyTorch checkpoint/],
  [
    'the weights of a tfjs model',
    { 'm.bin': '\u0001\u0002\u0003\u0004' },
    'm.bin',
    /has numbers alone.*add the \.json file that describes the model/,
  ],
  ['an archive', { 'm.tgz': '' }, 'm.tgz', /m\.tgz is an archive: unpack it/],
  ['fastai', { 'export.pkl': '' }, 'export.pkl', /fastai/],
  ['weights alone', { 'w.safetensors': '' }, 'w.safetensors', /weights without the model/],
  [
    'Hugging Face',
    { 'hf/config.json': '{}', 'hf/model.safetensors': '', 'hf/preprocessor_config.json': '{}' },
    'hf',
    /optimum-cli export onnx --task image-classification --model .*\/hf .*\/hf-onnx/,
  ],
  ['scikit-learn', { 's.joblib': '' }, 's.joblib', /numbers and not images/],
  ['Core ML', { 'm.mlmodel': '' }, 'm.mlmodel', /is a model for Core ML, which is not read\. Export it to ONNX/],
  ['Core ML in a package', { 'm.mlpackage/Data/model.mlmodel': '' }, 'm.mlpackage', /is a model for Core ML/],
  ['OpenVINO', { 'net/model.xml': '', 'net/model.bin': '' }, 'net', /model\.xml is a model for OpenVINO/],
  ['TensorRT', { 'm.engine': '' }, 'm.engine', /is a model for TensorRT/],
  ['PaddlePaddle', { 'net/inference.pdiparams': '', 'net/inference.json': '{}' }, 'net', /for PaddlePaddle/],
  ['torch.export', { 'm.pt2': '' }, 'm.pt2', /torch\.onnx\.export\(torch\.export\.load\('m\.pt2'\), f='model\.onnx'/],
  [
    'TorchScript',
    { 'm.torchscript': '' },
    'm.torchscript',
    /torch\.onnx\.export\(torch\.jit\.load\('m\.torchscript'\)/,
  ],
  [
    'a SavedModel of ultralytics',
    { 'net/saved_model.pb': '', 'net/metadata.yaml': 'author: Ultralytics' },
    'net',
    /then add model\.onnx and metadata\.yaml next to each other/,
  ],
  ['files of another kind', { 'net/pom.xml': '', 'net/a.params': '' }, 'net', /found none/],
  ['a text', { 'readme.txt': '' }, 'readme.txt', /readme\.txt: expected a folder, a \.zip, a \.onnx/],
  ['an empty folder', { 'net/readme.txt': '' }, 'net', /found none/],
])('%s is named, with what to do', async (_, files, source, message) => {
  await write(files);
  await expect(addModel(path.join(root, source), { name: 'net' }, context)).rejects.toThrow(message);
});
