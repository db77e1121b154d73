import { expect, test } from 'vitest';
import { readTransformers } from './transformers-config.ts';

const HALF = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };

test.each([
  [
    'a size of one number is a square for ViT',
    { feature_extractor_type: 'ViTFeatureExtractor', size: 224, resample: 2, ...HALF },
    { width: 224, height: 224, resize: 'pillow-bilinear', normalization: 'tf' },
  ],
  [
    'and the short side for ResNet, of which a part is kept',
    { feature_extractor_type: 'ConvNextFeatureExtractor', size: 224, crop_pct: 0.875, resample: 3, ...HALF },
    { width: 224, height: 224, shortSide: 256, resize: 'transformers-bicubic', normalization: 'tf' },
  ],
  [
    'DeiT stretches to a square and crops its center',
    { feature_extractor_type: 'DeiTFeatureExtractor', size: 256, crop_size: 224, do_center_crop: true, resample: 3 },
    { width: 224, height: 224, stretchTo: 256, resize: 'transformers-bicubic' },
  ],
  [
    'LeViT enlarges its short side',
    {
      image_processor_type: 'LevitImageProcessor',
      size: { shortest_edge: 224 },
      crop_size: { height: 224, width: 224 },
      do_center_crop: true,
      ...HALF,
    },
    { width: 224, height: 224, shortSide: 256, normalization: 'tf' },
  ],
  [
    'PoolFormer keeps a part of large images, too',
    {
      image_processor_type: 'PoolFormerImageProcessorFast',
      size: { shortest_edge: 384 },
      crop_size: { height: 384, width: 384 },
      crop_pct: 0.96,
      ...HALF,
    },
    { width: 384, height: 384, shortSide: 400, normalization: 'tf' },
  ],
  [
    'MobileViT takes BGR unless its file says otherwise, and never a mean',
    {
      image_processor_type: 'MobileViTImageProcessor',
      size: { shortest_edge: 288 },
      crop_size: { height: 256, width: 256 },
      ...HALF,
    },
    {
      width: 256,
      height: 256,
      shortSide: 288,
      normalization: { scale: 1 / 255, mean: [0], std: [1], order: 'bgr' },
    },
  ],
  [
    'MobileViT fills what a short side leaves of its crop',
    {
      image_processor_type: 'MobileViTImageProcessor',
      size: { shortest_edge: 224 },
      crop_size: { height: 256, width: 256 },
      do_flip_channel_order: false,
      resample: 2,
    },
    {
      width: 256,
      height: 256,
      shortSide: 224,
      padColor: '#000000',
      resize: 'transformers-bilinear',
      normalization: 'unit',
    },
  ],
  [
    'Perceiver keeps a share of the largest square',
    { image_processor_type: 'PerceiverImageProcessor', size: 224, crop_size: 256, resample: 3, ...HALF },
    {
      width: 224,
      height: 224,
      cover: true,
      cropFraction: 0.875,
      resize: 'transformers-bicubic',
      normalization: 'tf',
    },
  ],
  [
    'EfficientNet divides by the deviation twice',
    {
      image_processor_type: 'EfficientNetImageProcessor',
      size: { height: 224, width: 224 },
      do_center_crop: false,
      crop_size: { height: 289, width: 289 },
      image_mean: [0.5, 0.25, 0.125],
      image_std: [0.5, 0.25, 0.5],
    },
    {
      width: 224,
      height: 224,
      normalization: { scale: 1 / 255, mean: [0.5, 0.25, 0.125], std: [0.25, 0.0625, 0.25], order: 'rgb' },
    },
  ],
  [
    'and may subtract 1',
    {
      image_processor_type: 'EfficientNetImageProcessor',
      size: { height: 224, width: 224 },
      rescale_factor: 1 / 127.5,
      rescale_offset: true,
      do_normalize: false,
      include_top: false,
    },
    { width: 224, height: 224, normalization: { scale: 1 / 127.5, mean: [1], std: [1], order: 'rgb' } },
  ],
  [
    'fields that are null are as if absent',
    {
      image_processor_type: 'ViTImageProcessorFast',
      size: { height: 224, width: 224, shortest_edge: null },
      crop_size: null,
      do_center_crop: null,
      do_pad: null,
      resample: 2,
      ...HALF,
    },
    { width: 224, height: 224, resize: 'pillow-bilinear', normalization: 'tf' },
  ],
])('%s', (_, config, expected) => {
  expect(readTransformers(config, undefined)).toEqual({ ...expected, from: 'preprocessor_config.json' });
});

test('config.json names the model if nothing names the image processor', () => {
  const read = (model_type: string) => readTransformers({ size: 224, crop_pct: 0.875, ...HALF }, { model_type });
  expect(read('swin')).toMatchObject({ width: 224, height: 224 });
  expect(read('swin')).not.toHaveProperty('shortSide');
  expect(read('resnet')).toMatchObject({ width: 224, height: 224, shortSide: 256 });
});

test.each([
  ['fit the whole image in', { size: { shortest_edge: 224, longest_edge: 400 } }],
  ['fit the whole image in', { size: { longest_edge: 224 }, do_pad: true }],
  ['do not resize', { do_resize: false, crop_size: 224 }],
  ['long side longer', { size: { shortest_edge: 224 }, do_center_crop: false }],
  ['crop images before', { image_processor_type: 'PerceiverImageProcessor', size: 224 }],
  ['crop another part', { image_processor_type: 'PerceiverImageProcessor', size: [224, 192], crop_size: 256 }],
  ['is not known', { image_processor_type: 'DonutImageProcessor', size: { height: 224, width: 224 } }],
  [
    'versions of transformers crop differently',
    {
      image_processor_type: 'ConvNextImageProcessor',
      size: { shortest_edge: 256 },
      crop_size: 224,
      do_center_crop: true,
      crop_pct: 0.875,
    },
  ],
  ['leaves the size', { image_processor_type: 'ViTImageProcessor' }],
])('a crop that cannot be reproduced is reported: %s', (doubt, config) => {
  expect(readTransformers({ ...config, ...HALF }, undefined)?.cropDoubt).toContain(doubt);
});

test('a share that the file leaves out is the default of its image processor, and not read from the file', () => {
  const read = (config: object) => readTransformers({ size: { shortest_edge: 224 }, ...config, ...HALF }, undefined);
  const convnext = { image_processor_type: 'ConvNextImageProcessor' };
  expect(read(convnext)).toMatchObject({ shortSide: 256, cropDefault: expect.stringMatching(/default .*crop_pct/) });
  expect(read({ ...convnext, crop_pct: 0.875 })).not.toHaveProperty('cropDefault');
  const poolformer = { image_processor_type: 'PoolFormerImageProcessor' };
  expect(read(poolformer)).toMatchObject({ shortSide: 248, cropDefault: expect.stringMatching(/default/) });
  // Large ones are stretched, whatever the share.
  expect(read({ ...convnext, size: { shortest_edge: 384 } })).not.toHaveProperty('cropDefault');
});

test('without a mean the file leaves the normalization to a guess', () => {
  expect(readTransformers({ size: 224 }, undefined)).not.toHaveProperty('normalization');
});
