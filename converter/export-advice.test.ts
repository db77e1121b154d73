import { expect, test } from 'vitest';
import { UnsupportedOpError } from './errors.ts';
import { wayOut } from './export-advice.ts';

const NOWHERE = 'tf2onnx does not write it as an ONNX file needs it, either: build the model without it';

test.each([
  ['image.rgb_to_hsv', 'layer tf.image.rgb_to_hsv'],
  ['RGBToHSV', 'layer rgb_to_hsv'],
  ['linalg.inv', 'layer tf.linalg.inv'],
  ['Argmax', 'layer argmax'],
  ['antialias true', 'layer resizing'],
  ['Resizing', 'interpolation lanczos3'],
  ['image.resize', 'layer tf.image.resize: by area'],
])('a refusal of %s, %s, does not lead to an ONNX file, which lacks it', (op, detail) => {
  expect(wayOut('tfjs-layers', new UnsupportedOpError(op, detail).message)).toBe(NOWHERE);
});

test.each([
  ['LSTM', 'layer inv'],
  ['math.argmax', 'layer tf.math.argmax'],
  ['Lambda', 'layer antialias'],
  ['Resizing', 'interpolation bicubic'],
])('a refusal of %s, %s, leads to an ONNX file', (op, detail) => {
  expect(wayOut('tfjs-layers', new UnsupportedOpError(op, detail).message)).toContain('python -m tf2onnx.convert');
});
