import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { prepareImage } from '@inferql/images/preprocess';
import type { ModelInput } from '@inferql/images/render-input';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { writePixels } from '../commands/pixels.ts';
import { readSample, varySamples } from './sample-images.ts';

const SAMPLES = path.join(import.meta.dirname, '../../models/samples');
const ROCKET = path.join(SAMPLES, 'rocket.jpg');
const RESIZES = [undefined, 'pillow-bilinear', 'opencv-area', 'canvas'];

describe.each([1, 3, 4] as const)('%i channels', (channels) => {
  test.each(RESIZES)('a sample is what the server makes of it, resized by %s', async (resize) => {
    const input: ModelInput = {
      width: 96,
      height: 64,
      channels,
      shortSide: 128,
      kernel: 'linear',
      ...(resize && { resize }),
    };
    for (const name of ['rocket.jpg', 'chelsea.png']) {
      const file = path.join(SAMPLES, name);
      const served = await prepareImage(await readFile(file), input, 64e6);
      expect(Buffer.compare(await readSample(file, input), served)).toBe(0);
    }
  });

  test('views have the shape of the input, and the same seed cuts the same', async () => {
    const input: ModelInput = {
      width: 20,
      height: 10,
      channels,
      shortSide: 30,
      kernel: 'linear',
      resize: 'pillow-box',
    };
    const cut = async (seed: number) => {
      const views: Uint8Array[] = [];
      for await (const view of varySamples([ROCKET], input, seed)) views.push(view);
      return Buffer.concat(views);
    };
    const views = await cut(1);
    expect(views.length % (20 * 10 * channels)).toBe(0);
    expect(views.length).toBeGreaterThan(20 * 10 * channels);
    expect(Buffer.compare(await cut(1), views)).toBe(0);
    expect(Buffer.compare(await cut(2), views)).not.toBe(0);
  });
});

test('a file that is not an image is refused with its name', async () => {
  const file = path.join(import.meta.dirname, 'sample-images.ts');
  const input: ModelInput = { width: 8, height: 8, channels: 3, kernel: 'linear' };
  await expect(readSample(file, input)).rejects.toThrow(/^.*sample-images\.ts: /);
});

const SPEC = `{
  source: { type: 'folder', model: 'model.onnx', labels: 'labels.json' }, format: 'onnx',
  input: { width: 32, height: 24, resize: 'pillow-bicubic', cover: true, normalization: 'unit' },
  output: { activation: 'softmax' },
}`;

describe('pixels', () => {
  async function createModel(): Promise<{ modelsDir: string; print: (line: string) => void; printed: string[] }> {
    const modelsDir = await mkdtemp(path.join(os.tmpdir(), 'inferql-pixels-'));
    await mkdir(path.join(modelsDir, 'mine'));
    await writeFile(path.join(modelsDir, 'mine/model.json5'), SPEC);
    const printed: string[] = [];
    return { modelsDir, printed, print: (line) => printed.push(line) };
  }

  test('writes the bytes that the model gets, and a picture of them', async () => {
    const { modelsDir, print, printed } = await createModel();
    const [raw, png] = [path.join(modelsDir, 'out.raw'), path.join(modelsDir, 'out.png')];
    await writePixels('mine', ROCKET, { raw, png }, { modelsDir, print });
    const input: ModelInput = {
      width: 32,
      height: 24,
      channels: 3,
      kernel: 'linear',
      resize: 'pillow-bicubic',
      cover: true,
    };
    const served = await prepareImage(await readFile(ROCKET), input, 64e6);
    expect(Buffer.compare(await readFile(raw), served)).toBe(0);
    expect(Buffer.compare(await sharp(png).raw().toBuffer(), served)).toBe(0);
    expect(printed).toEqual(['rocket.jpg: 24 x 32 x 3 bytes, resized by pillow-bicubic']);
  });

  test('asks for a file to write, and for a model that exists', async () => {
    const { modelsDir, print } = await createModel();
    await expect(writePixels('mine', ROCKET, {}, { modelsDir, print })).rejects.toThrow(/--raw FILE/);
    await expect(writePixels('other', ROCKET, { raw: '/x' }, { modelsDir, print })).rejects.toThrow(/no model other/);
  });
});
