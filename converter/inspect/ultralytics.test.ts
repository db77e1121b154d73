import { expect, test } from 'vitest';
import { parseMetadataYaml, readUltralytics } from './ultralytics.ts';

const read = (fields: Record<string, string>) =>
  readUltralytics(new Map(Object.entries({ author: 'Ultralytics', task: 'classify', ...fields })), 'here');

// As `classify_transforms` and `CenterCrop` of these versions do it.
test.each([
  ['8.4.190', '[224, 224]', { shortSide: 224, resize: 'pillow-bilinear', normalization: 'unit' }],
  ['8.0.233', '[224, 224]', { shortSide: 224, resize: 'pillow-bilinear', normalization: 'unit' }],
  ['8.0.232', '[224, 224]', { cover: true, resize: 'opencv-linear', normalization: 'unit' }],
  ['8.0.53', '[224, 224]', { cover: true, resize: 'opencv-linear', normalization: 'unit' }],
  ['8.0.52', '[224, 224]', { cover: true, resize: 'opencv-linear', normalization: 'torch' }],
])('ultralytics %s prepares images of %s as its code does', (version, imgsz, expected) => {
  expect(read({ version, imgsz })?.preprocessing).toEqual({ width: 224, height: 224, ...expected, from: 'here' });
});

test('a size that is not square is stretched to', () => {
  const expected = { width: 320, height: 160, resize: 'pillow-bilinear', normalization: 'unit', from: 'here' };
  expect(read({ version: '8.4.190', imgsz: '[160, 320]' })?.preprocessing).toEqual(expected);
});

test('what is not a classifier of ultralytics is not taken for one', () => {
  expect(readUltralytics(new Map([['author', 'somebody']]), 'here')).toBeUndefined();
  expect(() => read({ task: 'detect' })).toThrow(/task is detect: only models that classify/);
});

test('a metadata.yaml is read as ultralytics writes it', async () => {
  const text = [
    'description: Ultralytics YOLOv8n-cls model trained on a',
    '  folder with a long name',
    'author: Ultralytics',
    "date: '2026-11-29T19:02:03.934879+00:00'",
    'version: 8.4.190',
    'task: classify',
    'batch: 1',
    'imgsz:',
    '- 96',
    '- 96',
    'names:',
    '  0: tench',
    "  1: '404'",
    "  2: 'it''s: a colon'",
    '  3: "K\\xE4tzchen"',
    '  4: a name that is so long that the writer of YAML continues it on the line',
    '    below',
    'args:',
    '  batch: 1',
    'channels: 3',
  ].join('\n');
  const fields = await parseMetadataYaml(text);
  expect(fields.get('channels')).toBe('3');
  const { labels, preprocessing } = readUltralytics(fields, 'metadata.yaml') ?? {};
  const long = 'a name that is so long that the writer of YAML continues it on the line below';
  expect(labels?.names).toEqual(['tench', '404', "it's: a colon", 'Kätzchen', long]);
  expect(preprocessing).toMatchObject({ width: 96, height: 96, shortSide: 96, normalization: 'unit' });
});

test.each([
  ['is not YAML', 'author: Ultralytics\nnames: [cat, dog'],
  ['is one text', 'Ultralytics'],
  ['has deep lists', `author: Ultralytics\nnames: ${'['.repeat(100_000)}`],
  ['repeats parts by name', 'author: &a Ultralytics\nnames: [*a, *a]'],
])('a metadata.yaml that %s gives nothing', async (_, text) => {
  expect(await parseMetadataYaml(text)).toEqual(new Map());
});
