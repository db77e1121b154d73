import { copyFile, type FileHandle, link, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../../errors.ts';
import type { MovedPart } from '../../onnx-reader/external-weights.ts';
import { readOnnx } from '../../onnx-reader/read-without-weights.ts';
import type { ModelSpec } from '../../spec/spec.ts';
import { OWN_WEIGHTS, type WrapOptions, wrapOnnx } from './wrap-onnx-file.ts';

const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * Wraps an ONNX file and writes it as `model.onnx` into a folder, with its weights in other files. Onnxruntime maps those into memory.
 * @returns the number of classes, undefined if the file does not say
 * @throws ModelError SOURCE_INVALID, SPEC_INVALID
 */
export async function writeWrapped(
  file: string,
  spec: ModelSpec,
  options: Omit<WrapOptions, 'file'>,
  target: string,
): Promise<number | undefined> {
  const { bytes, classCount, externalFiles, ownWeights } = wrapOnnx(readOnnx(file), spec, { ...options, file });
  await writeFile(path.join(target, 'model.onnx'), bytes);
  for (const { from, to } of externalFiles) {
    await linkOrCopy(path.join(path.dirname(file), from), path.join(target, to));
  }
  if (ownWeights.length > 0) await copyParts(file, path.join(target, OWN_WEIGHTS), ownWeights);
  return classCount;
}

/** Weights of gigabytes are not copied if a second name will do. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}

async function copyParts(from: string, to: string, parts: readonly MovedPart[]): Promise<void> {
  const source = await open(from, 'r');
  try {
    const target = await open(to, 'w');
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      for (const part of parts) await copyPart(source, target, part, chunk);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function copyPart(source: FileHandle, target: FileHandle, { from, to, length }: MovedPart, chunk: Buffer) {
  for (let done = 0; done < length; ) {
    const { bytesRead } = await source.read(chunk, 0, Math.min(chunk.length, length - done), from + done);
    if (bytesRead === 0) throw new ModelError('SOURCE_INVALID', 'the ONNX file ends before its weights do');
    await target.write(chunk, 0, bytesRead, to + done);
    done += bytesRead;
  }
}
