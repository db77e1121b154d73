import sharp from 'sharp';
import type { InputSpec } from './spec.ts';

/**
 * Decodes a trusted photograph to what a model's input takes: uint8 [height, width, channels].
 * Uploads take another way, with limits and typed refusals.
 */
export async function readSample(file: string, input: InputSpec): Promise<Uint8Array> {
  const { width, height, shortSide, kernel } = input;
  const turned = sharp(file).autoOrient();
  const upright = input.channels === 4 ? turned.ensureAlpha() : turned.flatten({ background: '#ffffff' });
  const resized =
    shortSide === undefined
      ? upright.resize(width, height, { fit: 'fill', kernel })
      : upright
          .resize(shortSide, shortSide, { fit: 'cover', position: 'centre', kernel })
          .extract({ left: (shortSide - width) >> 1, top: (shortSide - height) >> 1, width, height });
  const pixels = await resized
    .toColourspace(input.channels === 1 ? 'b-w' : 'srgb')
    .raw()
    .toBuffer();
  return new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
}

/** Cuts many views of a few photographs: other parts in other sizes, some mirrored. The same seed cuts the same views. */
export async function* varySamples(
  files: readonly string[],
  input: InputSpec,
  seed: number,
): AsyncGenerator<Uint8Array> {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (const file of files) {
    const { autoOrient } = await sharp(file).autoOrient().metadata();
    for (let i = 0; i < VIEWS_PER_SAMPLE; i++) {
      const side = Math.round(Math.min(autoOrient.width, autoOrient.height) * (0.4 + 0.6 * random()));
      const left = Math.floor((autoOrient.width - side) * random());
      const top = Math.floor((autoOrient.height - side) * random());
      const { width, height, kernel } = input;
      const view = sharp(file)
        .autoOrient()
        .extract({ left, top, width: side, height: side })
        .resize(width, height, { fit: 'fill', kernel })
        .flop(random() < 0.5);
      const pixels = await (input.channels === 4 ? view.ensureAlpha() : view.flatten({ background: '#ffffff' }))
        .toColourspace(input.channels === 1 ? 'b-w' : 'srgb')
        .raw()
        .toBuffer();
      yield new Uint8Array(pixels);
    }
  }
}

const VIEWS_PER_SAMPLE = 21;
