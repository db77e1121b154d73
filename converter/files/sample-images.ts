import { readFile } from 'node:fs/promises';
import { prepareImage } from '@inferql/images/preprocess';
import { type ModelInput, renderInput } from '@inferql/images/render-input';
import { InferqlError } from '@inferql/queue/error-codes';
import sharp from 'sharp';
import { ModelError } from '../errors.ts';

/** As the server's default. */
const MAX_PIXELS = 64_000_000;
const VIEWS_PER_SAMPLE = 21;

/**
 * Turns an image file into what a model's input takes, as the server does it.
 * @returns uint8, height x width x channels
 * @throws ModelError SOURCE_INVALID if it is not an image that the server accepts
 */
export async function readSample(file: string, input: ModelInput): Promise<Uint8Array> {
  try {
    return await prepareImage(await readFile(file), input, MAX_PIXELS);
  } catch (cause) {
    if (cause instanceof InferqlError) throw new ModelError('SOURCE_INVALID', `${file}: ${cause.message}`, { cause });
    throw new ModelError('SOURCE_INVALID', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Crops many views from a few images: different parts in different sizes, some mirrored. The same seed gives the same views. */
export async function* varySamples(
  files: readonly string[],
  input: ModelInput,
  seed: number,
): AsyncGenerator<Uint8Array> {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  // A view is already cropped.
  const { shortSide: _, stretchTo: __, cropFraction: ___, cover: ____, padColor: _____, ...stretched } = input;
  for (const file of files) {
    const { autoOrient } = await sharp(file).autoOrient().metadata();
    for (let i = 0; i < VIEWS_PER_SAMPLE; i++) {
      const side = Math.round(Math.min(autoOrient.width, autoOrient.height) * (0.4 + 0.6 * random()));
      const left = Math.floor((autoOrient.width - side) * random());
      const top = Math.floor((autoOrient.height - side) * random());
      const view = await sharp(file)
        .autoOrient()
        .extract({ left, top, width: side, height: side })
        .flop(random() < 0.5)
        .png({ compressionLevel: 0 })
        .toBuffer();
      yield await renderInput(sharp(view), stretched);
    }
  }
}
