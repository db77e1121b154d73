import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { resizeOf } from '@inferql/images/render-input';
import sharp from 'sharp';
import { ModelError } from '../errors.ts';
import { readSample } from '../files/sample-images.ts';
import { readSpec } from '../spec/spec-file.ts';
import { type CommandContext, requireModel } from './command-context.ts';

/**
 * Writes the pixels that a model gets of an image, to compare them with a notebook's.
 * @param options.raw file for the bytes: uint8, height x width x channels
 * @param options.png file for a picture of them
 * @throws ModelError
 */
export async function writePixels(
  name: string,
  image: string,
  options: { raw?: string; png?: string },
  { modelsDir, print }: Pick<CommandContext, 'modelsDir' | 'print'>,
): Promise<void> {
  if (options.raw === undefined && options.png === undefined)
    throw new ModelError('ARGUMENT_INVALID', 'nothing to write: pass --raw FILE, --png FILE, or both');
  const { spec } = await readSpec(await requireModel(modelsDir, name));
  const { width, height, channels } = spec.input;
  const pixels = await readSample(image, spec.input);
  if (options.raw !== undefined) await writeFile(options.raw, pixels);
  if (options.png !== undefined) {
    const png = await sharp(pixels, { raw: { width, height, channels } })
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .png()
      .toBuffer();
    await writeFile(options.png, png);
  }
  print(`${path.basename(image)}: ${height} x ${width} x ${channels} bytes, resized by ${resizeOf(spec.input)}`);
}
