import { copyFile, link, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type WrapOptions, wrapOnnx } from '../onnx/wrap-onnx-file.ts';
import type { ModelSpec } from '../spec.ts';

/**
 * Wraps an ONNX file and writes it as `model.onnx` into a folder, with the files that its weights are in.
 * @returns the number of classes, undefined if the file does not say
 * @throws ModelError SOURCE_INVALID, SPEC_INVALID
 */
export async function writeWrapped(
  file: Uint8Array,
  spec: ModelSpec,
  options: WrapOptions & { folder: string },
  target: string,
): Promise<number | undefined> {
  const { bytes, classCount, externalFiles } = wrapOnnx(file, spec, options);
  await writeFile(path.join(target, 'model.onnx'), bytes);
  for (const { from, to } of externalFiles) {
    await linkOrCopy(path.join(options.folder, from), path.join(target, to));
  }
  return classCount;
}

/** Weights of gigabytes are not copied if a second name will do. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}
