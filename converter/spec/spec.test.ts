import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseSpec } from './spec.ts';

const RESNET = await readFile(path.join(import.meta.dirname, '../../models/resnet50/model.json5'), 'utf8');

function errorOf(text: string): string {
  try {
    parseSpec(text, 'models/mine/model.json5');
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the spec was accepted');
}

describe('a model spec', () => {
  test('gets every default that it does not name', () => {
    const spec = parseSpec(RESNET, 'model.json5');
    expect(spec.queue).toEqual({
      maxQueueSize: 1000,
      maxQueuedBytes: 256 * 1024 * 1024,
      defaultTimeoutMs: 300_000,
      resultTtlMs: 3_600_000,
      visibilityMs: 10_000,
      maxAttempts: 3,
      graceMs: 60_000,
      fairShares: true,
      refuseUnreachableDeadlines: false,
    });
    expect(spec).toMatchObject({ engine: 'auto', precision: 'float32', input: { channels: 3 } });
  });

  test('takes a mean and deviation instead of the name of a normalization', () => {
    const { input } = parseSpec(RESNET.replace(`'caffe'`, '{ mean: [0.48, 0.46, 0.41], std: [0.27] }'), 'model.json5');
    const own = { mean: [0.48, 0.46, 0.41], std: [0.27], scale: 1 / 255, order: 'rgb' };
    expect(input.normalization).toEqual(own);
  });

  test.each([
    ['a missing field', `{ format: 'onnx' }`, /source: /],
    ['a wrong kind of number', RESNET.replace('width: 224', 'width: "wide"'), /input\.width: .*number/],
    [
      'an unknown choice',
      RESNET.replace(`'caffe'`, `'cafe'`),
      /input\.normalization: expected caffe, tf, torch, unit, none, or \{ mean, std/,
    ],
    ['a field that is not known', RESNET.replace('batching:', 'batchin:'), /^ {2}batchin: unknown field$/m],
    [
      'a field inside another that is not known',
      RESNET.replace('maxQueueDelayMs', 'maxDelayMs'),
      /^ {2}batching\.maxDelayMs: unknown field$/m,
    ],
    ['a size of nothing', RESNET.replace('width: 224', 'width: 0'), /^ {2}input\.width: expected at least 1$/m],
    ['an absurd size', RESNET.replace('width: 224', 'width: 1e9'), /^ {2}input\.width: expected at most 4096$/m],
    [
      'a time that the API cannot give',
      RESNET.replace('batching:', 'queue: { defaultTimeoutMs: 2592000000 }, batching:'),
      /^ {2}queue\.defaultTimeoutMs: expected at most 2147483647$/m,
    ],
    ['no path', RESNET.replace('ResNet50/model.json', ''), /^ {2}source\.model: expected at least 1 character\(s\)$/m],
    [
      'two channels',
      RESNET.replace('width: 224', 'channels: 2, width: 224'),
      /^ {2}input\.channels: expected 1 \(gray\), 3 \(RGB\) or 4 \(RGBA\)$/m,
    ],
    [
      'a deviation of 0',
      RESNET.replace(`'caffe'`, '{ mean: [0.5], std: [0] }'),
      /^ {2}input\.normalization\.std\.0: expected more than 0$/m,
    ],
    [
      'a mean for two channels',
      RESNET.replace(`'caffe'`, '{ mean: [0.5, 0.5] }'),
      /^ {2}input\.normalization: expected mean and std with one number, or one for each of 3 channels$/m,
    ],
    [
      'a reversed order of one channel',
      RESNET.replace(`'caffe'`, `{ order: 'bgr' }, channels: 1`),
      /^ {2}input\.normalization: expected order rgb/m,
    ],
    [
      'four channels and a normalization for three',
      RESNET.replace(`'caffe'`, `'torch', channels: 4`),
      /^ {2}input\.normalization: expected numbers for 4 channels/m,
    ],
    [
      'a path that leaves the package',
      RESNET.replace('ResNet50/model.json', '../../etc/passwd'),
      /source\.model: .*\.\./,
    ],
    ['an integrity that is not a hash', RESNET.replace('sha512-', 'md5-'), /source\.integrity: .*sha512/],
    ['a version that is a range', RESNET.replace(`'1.0.4'`, `'^1.0.4'`), /source\.version: .*exact version/],
    ['a crop that does not fit', RESNET.replace('shortSide: 256', 'shortSide: 100'), /input\.shortSide: .*crop fits/],
    [
      'an int8 for another engine',
      RESNET.replace('format:', "engine: 'wasm', precision: 'int8', format:"),
      /precision: .*float32/,
    ],
    [
      'a resize of no library',
      RESNET.replace("resize: 'pillow-bilinear'", "resize: 'pillow-cubic'"),
      /^ {2}input\.resize: .*"pillow-bicubic"/m,
    ],
    [
      'two rules of cropping',
      RESNET.replace("resize: 'pillow-bilinear'", 'cover: true'),
      /input\.cover: .*one rule of cropping/,
    ],
    [
      'a rule that sharp does not know',
      RESNET.replace("shortSide: 256, resize: 'pillow-bilinear'", "padColor: '#000000'"),
      /input\.padColor: .*resize. other than sharp/,
    ],
    ['what is not JSON5 at all', '{ source: ', /is not JSON5/],
  ])('with %s is refused, naming the file, the field and what was expected', (_, text, expected) => {
    const message = errorOf(text);
    expect(message).toContain('models/mine/model.json5');
    expect(message).toMatch(expected);
  });
});
