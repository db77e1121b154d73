import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ModelError } from '../errors.ts';
import { readBinaryGraph, storeBinaryGraph } from './binary-graph.ts';

/** A field of a message: text or another message, or a whole number. */
function field(number: number, content: string | Buffer | number): Buffer {
  if (typeof content === 'number') return Buffer.from([number << 3, content]);
  const bytes = Buffer.from(content as string);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

function float(number: number, value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = (number << 3) | 5;
  bytes.writeFloatLE(value, 1);
  return bytes;
}

const minusOne = (number: number) => Buffer.from([number << 3, ...Array<number>(9).fill(0xff), 0x01]);
const attr = (name: string, value: Buffer) => field(5, Buffer.concat([field(1, name), field(2, value)]));
const node = (...parts: Buffer[]) => field(1, Buffer.concat(parts));
const shape = Buffer.concat([field(2, minusOne(1)), field(2, field(1, 12))]);
const GRAPH = Buffer.concat([
  node(field(1, 'image'), field(2, 'Placeholder'), attr('shape', field(7, shape)), attr('dtype', field(6, 1))),
  node(
    field(1, 'pool'),
    field(2, 'Pool'),
    field(3, 'image'),
    field(3, '^image'),
    attr('ints', field(1, field(3, Buffer.from([1, 2, 2, 1])))),
    attr('one', field(1, Buffer.concat([field(3, 3), field(2, 'a')]))),
    attr('text', field(2, 'SAME')),
  ),
  node(attr('yes', field(5, 1)), attr('count', minusOne(3)), attr('half', float(4, 0.5)), attr('t', field(8, 'x'))),
  node(attr('__proto__', field(3, 1))),
  field(4, field(1, 27)),
]);

test('a graph is read as the JSON of later converters', () => {
  const { node: nodes, versions } = readBinaryGraph(GRAPH);
  expect(versions).toEqual({ producer: 27 });
  const [image, pool, values, odd] = nodes as { attr: object }[];
  expect(image).toEqual({
    name: 'image',
    op: 'Placeholder',
    input: [],
    attr: { shape: { shape: { dim: [{ size: '-1' }, { size: '12' }] } }, dtype: { type: 1 } },
  });
  const base64 = (value: string) => Buffer.from(value).toString('base64');
  expect(pool).toEqual({
    name: 'pool',
    op: 'Pool',
    input: ['image', '^image'],
    attr: {
      ints: { list: { i: ['1', '2', '2', '1'] } },
      one: { list: { s: [base64('a')], i: ['3'] } },
      text: { s: base64('SAME') },
    },
  });
  expect(values!.attr).toEqual({ yes: { b: true }, count: { i: '-1' }, half: { f: 0.5 }, t: { tensor: {} } });
  expect(Object.keys(odd!.attr)).toEqual(['__proto__']);
});

test('a damaged graph causes no other error than a ModelError', () => {
  for (let length = 0; length < GRAPH.length; length++) {
    for (const bytes of [
      GRAPH.subarray(0, length),
      Buffer.from(GRAPH).fill(0xff, length, Math.min(length + 3, GRAPH.length)),
    ]) {
      try {
        readBinaryGraph(bytes);
      } catch (error) {
        expect(error, `at ${length}`).toBeInstanceOf(ModelError);
      }
    }
  }
  expect(() => readBinaryGraph(new Uint8Array())).toThrow(/not a graph of TensorFlow: no nodes/);
});

test('what is missing next to the graph, and what is not a manifest, is named', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'inferql-binary-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'tensorflowjs_model.pb');
  await writeFile(file, GRAPH);
  await expect(storeBinaryGraph(file, folder)).rejects.toThrow(/weights_manifest\.json is missing/);
  const manifest = path.join(folder, 'weights_manifest.json');
  await writeFile(manifest, '[');
  await expect(storeBinaryGraph(file, folder)).rejects.toThrow(/weights_manifest\.json is not JSON/);
  await writeFile(manifest, '[{"paths":["../../etc/passwd"],"weights":[]}]');
  await expect(storeBinaryGraph(file, folder)).rejects.toThrow(/a path inside the folder of the model/);
  await writeFile(manifest, '[{"paths":["group1-shard1of1"],"weights":[]}]');
  await storeBinaryGraph(file, folder);
  const written = JSON.parse(await readFile(path.join(folder, 'model.json'), 'utf8'));
  expect(written).toMatchObject({ format: 'graph-model', weightsManifest: [{ paths: ['group1-shard1of1'] }] });
});
