import { expect, test } from 'vitest';
import { Findings } from './findings.ts';
import { chooseResizing, guessResizing } from './resizing.ts';
import { readTimm } from './timm-config.ts';
import { readUltralytics } from './ultralytics.ts';

const SIZE = { width: 224, height: 224 };

test.each([
  ['pytorch', 'pillow-bilinear', 256],
  ['TensorFlow.js tfjs-layers v4.22.0', 'tfjs-bilinear', undefined],
  ['keras v2.15.0', 'tensorflow-bilinear', undefined],
  ['tf2onnx', 'tensorflow-bilinear', undefined],
  ['', 'pillow-bilinear', undefined],
])('a model made by %j is resized by %s, short side %s', (producer, resize, shortSide) => {
  const guess = guessResizing(producer, SIZE);
  expect([guess.resize, guess.shortSide]).toEqual([resize, shortSide]);
});

test('a crop keeps the share of torchvision at other sizes', () => {
  expect(guessResizing('pytorch', { width: 299, height: 299 }).shortSide).toBe(342);
});

test('a crop of a file keeps both fields of a pair, and the finding names them', () => {
  const beside = { width: 256, height: 256, shortSide: 224, padColor: '#000000', from: 'preprocessor_config.json' };
  const choose = (overrides: object) => {
    const findings = new Findings();
    const resizing = chooseResizing(overrides, beside, { width: 256, height: 256, producer: '' }, findings);
    return [resizing, findings.rows.find(({ what }) => what === 'crop')?.value];
  };
  const resize = 'pillow-bilinear';
  expect(choose({})).toEqual([
    { resize, shortSide: 224, padColor: '#000000' },
    'short side to 224, center cropped, the rest #000000',
  ]);
  // What is too short for the crop still has to be filled, and what is not has nothing to fill.
  expect(choose({ shortSide: 200 })[0]).toEqual({ resize, shortSide: 200, padColor: '#000000' });
  expect(choose({ shortSide: 288 })[0]).toEqual({ resize, shortSide: 288 });
});

test('the command line overrides files, files override guesses, and each is reported', () => {
  const origin = { ...SIZE, producer: 'pytorch' };
  const choose = (overrides: object, preprocessing?: object) => {
    const findings = new Findings();
    const beside = preprocessing && { from: 'config.json', ...preprocessing };
    const resizing = chooseResizing(overrides, beside, origin, findings);
    return [resizing, ...findings.rows.map(({ what, certainty }) => `${what} ${certainty}`)];
  };
  expect(choose({})).toEqual([{ resize: 'pillow-bilinear', shortSide: 256 }, 'resize guessed', 'crop guessed']);
  expect(choose({}, { resize: 'pillow-bicubic', shortSide: 248 })).toEqual([
    { resize: 'pillow-bicubic', shortSide: 248 },
    'resize read',
    'crop read',
  ]);
  // A file that says nothing about the crop.
  expect(choose({}, {})).toEqual([{ resize: 'pillow-bilinear', shortSide: 256 }, 'resize guessed', 'crop guessed']);
  expect(choose({}, { resize: 'canvas' })).toEqual([{ resize: 'canvas' }, 'resize read', 'crop guessed']);
  // One with a size and no crop stretches.
  expect(choose({}, { width: 224, height: 224 })).toEqual([
    { resize: 'pillow-bilinear' },
    'resize guessed',
    'crop read',
  ]);
  expect(choose({ resize: 'opencv-area' })).toEqual([{ resize: 'opencv-area' }, 'resize given', 'crop guessed']);
  expect(choose({ resize: 'canvas', shortSide: 224 }, { resize: 'pillow-box', shortSide: 256 })).toEqual([
    { resize: 'canvas', shortSide: 224 },
    'resize given',
    'crop given',
  ]);
});

test.each([
  ["timm's, whose default share is 0.875", readTimm({ pretrained_cfg: {} }), { shortSide: 256 }, 'likely'],
  ["timm's, with a share", readTimm({ pretrained_cfg: { crop_pct: 0.9 } }), { shortSide: 248 }, 'read'],
  [
    "timm's, with a rule",
    readTimm({ pretrained_cfg: { crop_pct: 0.8, crop_mode: 'squash' } }),
    { stretchTo: 280 },
    'read',
  ],
  ["timm's, with a rule that differs", readTimm({ pretrained_cfg: { crop_pct: 1.2 } }), { shortSide: 224 }, 'guessed'],
  ["ultralytics'", ultralytics({ version: '8.4.190' }), { shortSide: 224 }, 'likely'],
  ["ultralytics', of an old version", ultralytics({ version: '8.0.50' }), { cover: true }, 'read'],
  ["ultralytics', without its version", ultralytics({ imgsz: '[224, 224]' }), { shortSide: 224 }, 'likely'],
])('a file without a size gives the crop of its tool at the size of the model: %s', (_, beside, crop, certainty) => {
  const findings = new Findings();
  const { resize, ...chosen } = chooseResizing({}, beside, { ...SIZE, producer: '' }, findings);
  expect([resize !== undefined, chosen]).toEqual([true, crop]);
  expect(findings.rows.find(({ what }) => what === 'crop')).toMatchObject({ certainty });
});

function ultralytics(fields: Record<string, string>) {
  const all = { author: 'Ultralytics', task: 'classify', ...fields };
  return readUltralytics(new Map(Object.entries(all)), 'metadata.yaml')?.preprocessing;
}
