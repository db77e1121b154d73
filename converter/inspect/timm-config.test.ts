import { expect, test } from 'vitest';
import { readTimm } from './timm-config.ts';

const SIZE = { input_size: [3, 224, 224] };
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

test.each([
  [
    'the center of a larger image',
    { ...SIZE, ...HALF, crop_pct: 0.9, interpolation: 'bicubic', crop_mode: 'center' },
    { width: 224, height: 224, shortSide: 248, resize: 'pillow-bicubic', normalization: 'tf' },
  ],
  [
    'squash: the whole image',
    { ...SIZE, ...HALF, crop_pct: 1, interpolation: 'bilinear', crop_mode: 'squash' },
    { width: 224, height: 224, resize: 'pillow-bilinear', normalization: 'tf' },
  ],
  [
    'squash: the center of a stretched image',
    { ...SIZE, ...HALF, crop_pct: 0.875, interpolation: 'bilinear', crop_mode: 'squash' },
    { width: 224, height: 224, stretchTo: 256, resize: 'pillow-bilinear', normalization: 'tf' },
  ],
])('%s', (_, pretrained_cfg, expected) => {
  expect(readTimm({ pretrained_cfg })).toEqual({ ...expected, from: 'config.json (timm)' });
});

test.each([
  { ...SIZE, crop_mode: 'border', crop_pct: 1 },
  { input_size: [3, 224, 448], crop_pct: 0.9 },
  { ...SIZE, crop_pct: 1.2 },
])('a crop that cannot be reproduced is reported: %j', (pretrained_cfg) => {
  expect(readTimm({ pretrained_cfg })?.cropDoubt).toMatch(/timm/);
});

test.each([
  ['crop_pct', 'cropDefault'],
  ['interpolation', 'resizeDefault'],
  ['mean', 'normalizationDefault'],
  ['std', 'normalizationDefault'],
])("what the file leaves out is timm's default, and not read from the file: %s", (field, why) => {
  const complete = { ...SIZE, ...IMAGENET, crop_pct: 0.875, interpolation: 'bicubic' };
  const values = { width: 224, height: 224, shortSide: 256, resize: 'pillow-bicubic', normalization: 'torch' };
  expect(readTimm({ pretrained_cfg: complete })).toEqual({ ...values, from: 'config.json (timm)' });
  const reason = expect.stringMatching(/^timm's default, since config\.json does not give its /);
  const left = readTimm({ pretrained_cfg: { ...complete, [field]: null } });
  expect(left).toEqual({ ...values, [why]: reason, from: 'config.json (timm)' });
});

test('the config.json of another library is not timm', () => {
  expect(readTimm({ model_type: 'vit' })).toBeUndefined();
  expect(readTimm(undefined)).toBeUndefined();
});
