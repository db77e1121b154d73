import { expect, test } from 'vitest';
import { Findings } from './findings.ts';
import { chooseResizing, guessResizing } from './resizing.ts';

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
  expect(choose({}, {})).toEqual([{ resize: 'pillow-bilinear' }, 'resize guessed', 'crop read']);
  expect(choose({ resize: 'opencv-area' })).toEqual([{ resize: 'opencv-area' }, 'resize given', 'crop guessed']);
  expect(choose({ resize: 'canvas', shortSide: 224 }, { resize: 'pillow-box', shortSide: 256 })).toEqual([
    { resize: 'canvas', shortSide: 224 },
    'resize given',
    'crop given',
  ]);
});
