import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCompanions } from './companion-files.ts';
import { nameNormalization } from './normalization-name.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'inferql-companions-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(files: Record<string, unknown>) {
  for (const [name, content] of Object.entries(files)) {
    await writeFile(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return readCompanions(folder);
}

const IMAGENET = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };

describe("Hugging Face's preprocessor_config.json", () => {
  test.each([
    [
      'ViT: stretched, -1..1',
      { size: { height: 224, width: 224 }, resample: 2, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
      { width: 224, height: 224, resize: 'pillow-bilinear', normalization: 'tf' },
    ],
    [
      'ResNet: short side and crop',
      { size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 }, do_center_crop: true, ...IMAGENET },
      { width: 224, height: 224, shortSide: 256, normalization: 'torch' },
    ],
    [
      'ConvNeXT: a part of the size is kept',
      { size: { shortest_edge: 224 }, crop_pct: 0.875, resample: 3, ...IMAGENET },
      { width: 224, height: 224, shortSide: 256, resize: 'transformers-bicubic', normalization: 'torch' },
    ],
    ['ConvNeXT, large: stretched', { size: { shortest_edge: 384 }, crop_pct: 0.875 }, { width: 384, height: 384 }],
    [
      'an old one, with a number',
      { size: 224, do_normalize: false },
      { width: 224, shortSide: 224, normalization: 'unit' },
    ],
    [
      'MobileViT: BGR without a mean',
      {
        size: { shortest_edge: 288 },
        crop_size: { height: 256, width: 256 },
        do_normalize: false,
        do_flip_channel_order: true,
      },
      { width: 256, shortSide: 288, normalization: { scale: 1 / 255, mean: [0], std: [1], order: 'bgr' } },
    ],
    ['bytes', { do_rescale: false, do_normalize: false }, { normalization: 'none' }],
    [
      'CLIP: a different mean and deviation',
      { size: { shortest_edge: 224 }, crop_size: 224, image_mean: [0.48, 0.46, 0.41], image_std: [0.27, 0.26, 0.28] },
      { normalization: { scale: 1 / 255, mean: [0.48, 0.46, 0.41], std: [0.27, 0.26, 0.28], order: 'rgb' } },
    ],
  ])('%s', async (_, config, expected) => {
    const { preprocessing } = await read({ 'preprocessor_config.json': config });
    expect(preprocessing).toMatchObject({ ...expected, from: 'preprocessor_config.json' });
    if (!('shortSide' in expected) && 'width' in expected) expect(preprocessing).not.toHaveProperty('shortSide');
  });

  test('that is damaged is refused, and names the field', async () => {
    await expect(read({ 'preprocessor_config.json': { image_mean: 'what' } })).rejects.toThrow(/image_mean/);
    await expect(read({ 'preprocessor_config.json': '{' })).rejects.toThrow(/cannot be read/);
  });
});

describe('files next to a model', () => {
  test("are timm's config.json", async () => {
    const pretrained_cfg = {
      input_size: [3, 160, 160],
      mean: IMAGENET.image_mean,
      std: IMAGENET.image_std,
      crop_pct: 0.95,
      interpolation: 'bicubic',
    };
    const { preprocessing, labels } = await read({ 'config.json': { pretrained_cfg, label_names: ['a', 'b'] } });
    expect(preprocessing).toMatchObject({
      width: 160,
      height: 160,
      shortSide: 168,
      resize: 'pillow-bicubic',
      normalization: 'torch',
    });
    expect(labels).toEqual({ names: ['a', 'b'], from: 'config.json' });
  });

  test("are Teachable Machine's metadata, and another metadata.json is not mistaken for it", async () => {
    const teachable = await read({ 'metadata.json': { tmVersion: '2.4.7', labels: ['a', 'b'], imageSize: 96 } });
    expect(teachable.preprocessing).toMatchObject({ width: 96, height: 96, shortSide: 96 });
    // What Teachable Machine's code does: pixels / 127 - 1.
    const normalization = { scale: 1 / 127, mean: [1], std: [1], order: 'rgb' };
    expect(teachable.preprocessing).toMatchObject({ normalization });
    const unsized = await read({ 'metadata.json': { tmVersion: '2.4.7', labels: ['a', 'b'] } });
    expect(unsized.preprocessing).not.toHaveProperty('width');
    expect(unsized.preprocessing?.placeAt?.({ width: 96, height: 96 })).toMatchObject({
      shortSide: 96,
      cropDefault: expect.stringMatching(/no imageSize/),
    });
    const other = await read({ 'metadata.json': { keras_version: '3.1', date_saved: 'today' } });
    expect(other).toEqual({});
    const labels = await read({ 'metadata.json': { class_names: ['a', 'b'] } });
    expect(labels).toEqual({ labels: { names: ['a', 'b'], from: 'metadata.json' } });
  });

  test.each(['class_indices.json', 'labels.json'])('give class names: %s', async (name) => {
    const { labels } = await read({ [name]: { cat: 0, dog: 1 } });
    expect(labels).toEqual({ names: ['cat', 'dog'], from: name });
  });

  test('give class names: classes.txt', async () => {
    expect((await read({ 'classes.txt': 'cat\ndog\n' })).labels?.names).toEqual(['cat', 'dog']);
  });
});

test('a normalization gets its usual name only if it is the same', () => {
  const own = { scale: 1 / 255, mean: [0.5], std: [0.5], order: 'rgb' as const };
  expect(nameNormalization(own)).toBe('tf');
  expect(nameNormalization({ ...own, mean: [0.5, 0.5, 0.5] })).toBe('tf');
  expect(nameNormalization({ ...own, order: 'bgr' })).toMatchObject({ order: 'bgr' });
  expect(nameNormalization({ ...own, scale: 1 / 127.5 })).toMatchObject({ mean: [0.5] });
  expect(nameNormalization({ ...own, mean: [0.5, 0.5, 0.5, 0.5] })).toMatchObject({ std: [0.5] });
});
