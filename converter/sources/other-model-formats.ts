import { open } from 'node:fs/promises';
import path from 'node:path';

/** The page that shows each conversion with its code. */
const DOCS = 'docs/export-your-model.md';

/** Models for other runtimes, which do not say what they compute in a way that could be read. */
const RUNTIMES: Record<string, string> = {
  '.caffemodel': 'Caffe',
  '.engine': 'TensorRT',
  '.mlmodel': 'Core ML',
  '.mlpackage': 'Core ML',
  '.mnn': 'MNN',
  '.ort': 'onnxruntime mobile',
  '.params': 'MXNet',
  '.pdiparams': 'PaddlePaddle',
  '.pdmodel': 'PaddlePaddle',
  '.plan': 'TensorRT',
  '.pte': 'ExecuTorch',
  '.trt': 'TensorRT',
  '.xml': 'OpenVINO',
};
/** In a folder, other tools write files of these names, too. */
const NAMED_ALONE = /\.(params|xml)$/i;
const FORMATS = new RegExp(
  `\\.(tflite|pt|pth|pt2|ckpt|pkl|torchscript|pb|safetensors|joblib|${Object.keys(RUNTIMES)
    .map((ending) => ending.slice(1))
    .join('|')})$`,
  'i',
);

const ARCHIVE = /\.(zip|tar|tgz|gz|bz2|xz|7z|rar|whl)$/i;

/** Enough of a checkpoint to see which library pickled it. */
const LOOK_BYTES = 1024 * 1024;

/**
 * The message for a model in a known format that cannot be read: it contains the command that converts the model.
 * @param source a file or a folder
 * @param names what is in the folder, relative to it; undefined for a file
 * @param shown what people know the source as
 * @returns undefined for what is not known
 */
export async function explainForeign(
  source: string,
  names: readonly string[] | undefined,
  shown = source,
): Promise<string | undefined> {
  if (names === undefined) return explainFile(source, shown);
  const find = (pattern: RegExp) => names.find((name) => pattern.test(path.basename(name)));
  const described = names.includes('metadata.yaml') ? ' and metadata.yaml next to each other' : '';
  const saved = find(/^saved_model\.pb(txt)?$/);
  if (saved !== undefined) {
    const folder = path.join(shown, path.dirname(saved));
    return `${folder} is a TensorFlow SavedModel. Convert it: python -m tf2onnx.convert --saved-model ${quote(folder)} --output model.onnx (pip install 'tf2onnx>=1.17' tensorflow), then add model.onnx${described}`;
  }
  const weights = find(/^(model.*\.safetensors|pytorch_model.*\.bin)$/);
  if (weights !== undefined && names.includes('config.json')) {
    return `${shown} is a model of Hugging Face transformers. Convert it: optimum-cli export onnx --task image-classification --model ${quote(shown)} ${quote(`${shown}-onnx`)} (pip install 'optimum-onnx[onnxruntime]'), then add ${shown}-onnx`;
  }
  const isOpenVino = names.some((name) => name.endsWith('.xml')) && names.some((name) => name.endsWith('.bin'));
  const file = names.find((name) => FORMATS.test(name) && (isOpenVino || !NAMED_ALONE.test(name)));
  if (file !== undefined) return explainFile(path.join(source, file), path.join(shown, file));
  const archive = find(ARCHIVE);
  return archive === undefined ? undefined : explainArchive(path.join(shown, archive));
}

/** @param found where the file is now; what it is called may be elsewhere */
async function explainFile(found: string, file: string): Promise<string | undefined> {
  const ending = path.extname(file).toLowerCase();
  const runtime = RUNTIMES[ending];
  if (runtime !== undefined) {
    return `${file} is a model for ${runtime}, which is not read. Export it to ONNX with the tool that wrote it (ultralytics: format=onnx), then add that file`;
  }
  switch (ending) {
    case '.tflite':
      return `${file} is a TensorFlow Lite model. Convert it: python -m tf2onnx.convert --tflite ${quote(file)} --output model.onnx (pip install 'tf2onnx>=1.17' tensorflow), then add model.onnx`;
    case '.pb':
      return `${file} is a TensorFlow graph. Convert it: python -m tf2onnx.convert --graphdef ${quote(file)} --inputs <input>:0 --outputs <output>:0 --output model.onnx (pip install 'tf2onnx>=1.17' tensorflow), then add model.onnx`;
    case '.pt':
    case '.pth':
    case '.ckpt':
      return explainTorch(found, file);
    case '.bin':
      return explainBinary(found, file);
    case '.pkl':
      return `${file} is pickled Python, such as a fastai learner. Load it in Python and export it with torch.onnx.export: ${DOCS} shows how`;
    case '.safetensors':
      return `${file} holds weights without the model. Build the model in Python, load them, and export it with torch.onnx.export: ${DOCS} shows how`;
    case '.joblib':
      return `${file} is a scikit-learn model, which takes numbers and not images: it is not served`;
    case '.pt2':
      return `${file} is a program of torch.export. In Python: torch.onnx.export(torch.export.load('${path.basename(file)}'), f='model.onnx', dynamo=True), then add model.onnx`;
    case '.torchscript':
      return `${file} is TorchScript. In Python: torch.onnx.export(torch.jit.load('${path.basename(file)}').eval(), torch.zeros(1, 3, 224, 224), 'model.onnx', dynamo=False), then add model.onnx (ultralytics: export with format=onnx instead)`;
    default:
      return ARCHIVE.test(file) ? explainArchive(file) : undefined;
  }
}

function explainArchive(file: string): string {
  return `${file} is an archive: unpack it, and add what is in it`;
}

/** PyTorch writes zips, and did write pickles; others of this name have nothing but numbers. */
async function explainBinary(found: string, file: string): Promise<string> {
  const isTorch = (await startsWith(found, 'PK\x03\x04')) || (await startsWith(found, '\x80'));
  if (isTorch) return explainTorch(found, file);
  return `${file} has numbers alone, such as the weights of a tfjs model: add the .json file that describes the model, with this file next to it`;
}

async function explainTorch(found: string, file: string): Promise<string> {
  if (await contains(found, 'ultralytics')) {
    return `${file} is an ultralytics checkpoint. Convert it: yolo export model=${quote(file)} format=onnx imgsz=224 (pip install ultralytics; imgsz as in its training), then add the .onnx file next to it`;
  }
  return `${file} is a PyTorch checkpoint, which needs the code of its model. In Python: torch.onnx.export(model.eval(), torch.zeros(1, 3, 224, 224), 'model.onnx', dynamo=True), then add model.onnx; ${DOCS} shows each way`;
}

async function startsWith(file: string, bytes: string): Promise<boolean> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (!handle) return false;
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(bytes.length), position: 0 });
    return buffer.toString('latin1', 0, bytesRead) === bytes;
  } finally {
    await handle.close();
  }
}

async function contains(file: string, word: string): Promise<boolean> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (!handle) return false;
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(LOOK_BYTES), position: 0 });
    return buffer.subarray(0, bytesRead).includes(word);
  } finally {
    await handle.close();
  }
}

/** For a shell. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
