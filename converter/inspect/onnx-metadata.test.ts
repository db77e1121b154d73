import { expect, test } from 'vitest';
import { readOnnxMetadata } from './onnx-metadata.ts';

const read = (entries: Record<string, string>) => readOnnxMetadata(new Map(Object.entries(entries))).labels;

test.each([
  ['names', "{0: 'cat', 1: 'dog'}"],
  ['names', "{'0': 'cat', '1': 'dog'}"],
  ['names', "{'dog': 1, 'cat': 0}"],
  ['names', 'cat,dog'],
  ['classes', '["cat", "dog"]'],
  ['id2label', '{"0": "cat", "1": "dog"}'],
  ['id2label', "{'0': 'cat', '1': 'dog'}"],
  ['label2id', '{"dog": 1, "cat": 0}'],
  ['class_to_idx', '{"cat": 0, "dog": 1}'],
  ['class_to_idx', "{'dog': 1, 'cat': 0}"],
  ['idx_to_class', '{"0": "cat", "1": "dog"}'],
  ['idx_to_class', "{0: 'cat', 1: 'dog'}"],
  ['class_indices', "{'cat': 0, 'dog': 1}"],
])('class names are read from %s of its metadata: %s', (key, text) => {
  expect(read({ author: 'me', [key]: text })).toEqual({
    names: ['cat', 'dog'],
    from: `metadata of the ONNX file (${key})`,
  });
});

test.each(["{'cat': 0, 'dog': 2}", "[('dog', 1), ('cat', 0)]", "{'cat': 0, 'dog': 1", '[cat, dog]', 'cat', '{}'])(
  'what is not a list of class names is not divided at its commas: %s',
  (text) => {
    expect(read({ classes: text })).toBeUndefined();
  },
);

test('names by index are preferred to indices by name', () => {
  expect(read({ label2id: '{"LABEL_0": 0, "LABEL_1": 1}', id2label: '{"0": "cat", "1": "dog"}' })?.names).toEqual([
    'cat',
    'dog',
  ]);
});
