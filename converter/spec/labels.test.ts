import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseJsonLabels } from './label-json.ts';
import { readLabels } from './labels.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'inferql-labels-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(name: string, text: string): Promise<string[]> {
  await writeFile(path.join(folder, name), text);
  return readLabels(path.join(folder, name));
}

describe('labels', () => {
  test.each([
    ['a list', 'labels.json', '["cat", "dog"]'],
    ['an object by index', 'labels.json', '{"1": "dog", "0": "cat"}'],
    ["Keras' class_indices", 'class_indices.json', '{"dog": 1, "cat": 0}'],
    ["Keras' list of ImageNet", 'index.json', '{"0": ["n01", "cat"], "1": ["n02", "dog"]}'],
    ["Teachable Machine's metadata", 'metadata.json', '{"tmVersion": "2.4.7", "labels": ["cat", "dog"]}'],
    ["Hugging Face's config", 'config.json', '{"architectures": ["ViT"], "id2label": {"0": "cat", "1": "dog"}}'],
    ["PyTorch's class_to_idx", 'config.json', '{"arch": "net", "class_to_idx": {"dog": 1, "cat": 0}}'],
    ["timm's config", 'config.json', '{"num_classes": 2, "label_names": ["cat", "dog"]}'],
    ['a list with a byte order mark', 'labels.json', '\uFEFF["cat", "dog"]'],
    ["Teachable Machine's labels.txt", 'labels.txt', '0 cat\n1 dog\n'],
    ['a table', 'labels.txt', 'index,name\n0,cat\n1,dog'],
    ['a table with names first, in any order', 'labels.txt', 'label;class_id\ndog;1\ncat;0'],
    ['a table that counts from 1', 'labels.txt', 'id\tname\n1\tcat\n2\tdog\n'],
    ['a table with cells that are empty', 'labels.txt', 'id,synset,name,note\n0,,cat,\n1,n02,dog,big'],
    ['a table whose names could hold a separator', 'labels.txt', 'id;name;more\n0;cat;a, b\n1;dog;'],
    ['names with their index behind them', 'labels.txt', 'dog,1\ncat,0'],
    ['quoted cells', 'labels.txt', '0,"cat"\n1,"dog"'],
    ["ImageNet's synset_words.txt", 'labels.txt', 'n02123045 cat\nn02084071 dog'],
    ["a dict of ImageNet's kind", 'labels.txt', "{0: 'cat',\n 1: 'dog'}\n"],
    ['a list that Python printed', 'classes.txt', "['cat', 'dog']\n"],
    ['a name per line', 'classes.txt', '\uFEFFcat\r\n dog \r\n\r\n'],
  ])('are read from %s', async (_, name, text) => {
    expect(await read(name, text)).toEqual(['cat', 'dog']);
  });

  test.each([
    ['a very long line', [`a${' '.repeat(200_000)}b`, `0${'\t'.repeat(200_000)}x\u2028y`]],
    ['very many lines', Array.from({ length: 300_000 }, (_, i) => `class ${i}`)],
  ])('are read from %s', async (_, expected) => {
    expect(await read('labels.txt', expected.join('\n'))).toEqual(expected);
  });

  test('are read from a very long table', async () => {
    const names = Array.from({ length: 300_000 }, (_, i) => `class ${i}`);
    expect(await read('labels.txt', `id,name\n${names.map((name, i) => `${i},${name}`).join('\n')}`)).toEqual(names);
  });

  test.each([
    [`{0: 'cat', 1: "dog's"}`, ['cat', "dog's"]],
    [`{1: 'b', 0: 'a\\'s'}`, ["a's", 'b']],
    [`['cat', 'dog']`, ['cat', 'dog']],
    [`('cat', 'dog')`, ['cat', 'dog']],
    [`{'0': 'cat', '1': 'dog',}`, ['cat', 'dog']],
    [`{'dog': 1, 'cat': 0}`, ['cat', 'dog']],
    [`{'train': None, 'idx_to_class': {0: u'cat', 1: 'dog'}}`, ['cat', 'dog']],
    [`['caf\\xe9', 'a\\tb', '\\u72ac', '\\U0001F431']`, ['café', 'a\tb', '犬', '🐱']],
    ['["cat"]', ['cat']],
    [`[1, 'a']`, undefined],
    [`['a' 'b']`, undefined],
    [`['a'] b`, undefined],
    [`${'['.repeat(200_000)}'a'`, undefined],
    ['{999999999: "a"}', undefined],
    ['{"999999999": "a"}', undefined],
    ['{"a": 999999999}', undefined],
    ['{"a": 0, "b": 0}', undefined],
    ['cat', undefined],
    ['[]', undefined],
    ['[1, 2]', undefined],
    ['null', undefined],
  ])('of Python, as exporters write them: %s', (text, expected) => {
    expect(parseJsonLabels(text)).toEqual(expected);
  });

  test.each([
    ['index,name\n0,cat', ['cat']],
    ['name,index\n5" disk,0', ['5" disk']],
    ['name,index\n"cat, striped ""tabby""",0', ['cat, striped "tabby"']],
  ])('of one class are read from a table without its header: %j', async (text, expected) => {
    expect(await read('labels.txt', text)).toEqual(expected);
  });

  test.each([
    'index,name\n3,cat\n7,dog',
    'index,name\n0,cat\n0,dog',
    'index,name\n0,\n1,dog',
    'index,name',
    'index,name,note\n0,,striped\n1,dog,',
  ])('in a table that leaves out numbers or names are refused: %j', async (text) => {
    await expect(read('labels.txt', text)).rejects.toThrow(/a table with the columns index and name/);
  });

  test.each(['7 up\n1 dog', '1 cat\n2 dog', '0 cat', 'cat, dog\nbird, fish', '[none]\ncat', '"cat"\n"dog"'])(
    'that begin with other numbers than theirs keep them: %j',
    async (text) => {
      expect(await read('labels.txt', text)).toEqual(text.split('\n'));
    },
  );

  test('are read from UTF-16, as editors on Windows write it, and refused in an encoding that nothing names', async () => {
    const names = ['Kätzchen', '犬'];
    const little = Buffer.from(`\uFEFF${names.join('\r\n')}`, 'utf16le');
    const file = path.join(folder, 'labels.txt');
    for (const bytes of [little, Buffer.from(little).swap16()]) {
      await writeFile(file, bytes);
      expect(await readLabels(file)).toEqual(names);
    }
    await writeFile(file, Buffer.from('Kätzchen\nHündin', 'latin1'));
    await expect(readLabels(file)).rejects.toThrow('labels labels.txt: not UTF-8, save the file in that encoding');
  });

  test('that are none are refused with what is expected', async () => {
    await expect(read('labels.json', '{"a": {}}')).rejects.toThrow(/labels\.json: expected a list of names/);
    await expect(read('labels.txt', '\n\n')).rejects.toThrow(/labels\.txt: expected/);
    await expect(readLabels(path.join(folder, 'missing.txt'))).rejects.toThrow(/cannot be read/);
  });
});
