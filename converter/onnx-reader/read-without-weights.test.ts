import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import onnxProto from 'onnx-proto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeOnnx } from './decode-onnx.ts';
import { externalPartOf, listExternalFiles, moveOwnParts, OWN_FILE } from './external-weights.ts';
import { readOnnx } from './read-without-weights.ts';

const { onnx } = onnxProto;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'inferql-read-onnx-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(bytes: Uint8Array): string {
  const file = path.join(folder, `${randomBytes(4).toString('hex')}.onnx`);
  writeFileSync(file, bytes);
  return file;
}

const LONG = Buffer.from(Float32Array.from({ length: 5000 }, (_, i) => i / 7).buffer);
const node = { opType: 'Relu', name: 'n', input: ['a'], output: ['b'] };

function modelOf(graph: object): Uint8Array {
  return onnx.ModelProto.encode(onnx.ModelProto.create({ irVersion: 8, producerName: 'test', graph })).finish();
}

/** A tensor's bytes, by what it says about their place in the file. */
function bytesAt(bytes: Uint8Array, tensor: Parameters<typeof externalPartOf>[0] | undefined): Buffer {
  const part = tensor && externalPartOf(tensor);
  expect(part?.location).toBe(OWN_FILE);
  return Buffer.from(bytes.subarray(part?.offset, (part?.offset ?? 0) + (part?.length ?? 0)));
}

describe('an ONNX file that is read without its weights', () => {
  test('says where its long weights are, and has its short ones', () => {
    const weights = [
      { name: 'long', dims: [5000], dataType: 1, rawData: LONG },
      { name: 'short', dims: [2], dataType: 1, rawData: LONG.subarray(0, 8) },
      { name: 'listed', dims: [5000], dataType: 1, floatData: [...new Float32Array(new Uint8Array(LONG).buffer)] },
    ];
    const inner = { name: 'inner', node: [node], initializer: [weights[0]] };
    const constant = { ...node, opType: 'Constant', input: [], attribute: [{ name: 'value', type: 4, t: weights[0] }] };
    const branch = { ...node, opType: 'If', attribute: [{ name: 'then_branch', type: 5, g: inner }] };
    const bytes = modelOf({ name: 'g', node: [node, constant, branch], initializer: weights });
    const { model, graph } = readOnnx(write(bytes));
    expect(model.producerName).toBe('test');
    expect(graph.node.map(({ opType }) => opType)).toEqual(['Relu', 'Constant', 'If']);
    const [long, short, listed] = graph.initializer as Parameters<typeof externalPartOf>[0][];
    expect(bytesAt(bytes, long)).toEqual(LONG);
    expect(short).toMatchObject({ name: 'short', rawData: LONG.subarray(0, 8) });
    expect(bytesAt(bytes, listed)).toEqual(LONG);
    expect(bytesAt(bytes, graph.node[1]?.attribute?.[0]?.t ?? undefined)).toEqual(LONG);
    expect(bytesAt(bytes, graph.node[2]?.attribute?.[0]?.g?.initializer?.[0])).toEqual(LONG);
    expect(listExternalFiles(model)).toEqual([]);
  });

  test('is the same as one that is read completely if its weights are short', () => {
    const bytes = modelOf({ name: 'g', node: Array.from({ length: 400 }, () => node), docString: 'x'.repeat(9000) });
    expect(onnx.ModelProto.encode(readOnnx(write(bytes)).model).finish()).toEqual(
      onnx.ModelProto.encode(decodeOnnx(bytes).model).finish(),
    );
  });

  test('leaves weights alone that are in another file', () => {
    const external = [{ key: 'location', value: 'weights.bin' }];
    const tensor = { name: 'w', dims: [5000], dataType: 1, dataLocation: 1, externalData: external, rawData: LONG };
    const { model } = readOnnx(write(modelOf({ name: 'g', node: [node], initializer: [tensor] })));
    expect(listExternalFiles(model)).toEqual(['weights.bin']);
    expect(moveOwnParts(model, 'own.bin')).toEqual([]);
  });

  test('names a new file for its weights, which begin at multiples of 64', () => {
    const tensor = { name: 'w', dims: [5000], dataType: 1, rawData: Buffer.concat([LONG, Buffer.alloc(4)]) };
    const bytes = modelOf({ name: 'g', node: [node], initializer: [tensor, { ...tensor, name: 'v' }] });
    const { model, graph } = readOnnx(write(bytes));
    const parts = moveOwnParts(model, 'own.bin');
    expect(parts.map(({ to, length }) => [to, length])).toEqual([
      [0, 20_004],
      [20_032, 20_004],
    ]);
    expect(parts.map(({ from }) => bytes[from + 5])).toEqual([LONG[5], LONG[5]]);
    expect(graph.initializer.map((tensor) => externalPartOf(tensor as never))).toEqual([
      { location: 'own.bin', offset: 0, length: 20_004 },
      { location: 'own.bin', offset: 20_032, length: 20_004 },
    ]);
  });

  test('is refused if it is cut off, at each length', () => {
    const tensor = { name: 'w', dims: [5000], dataType: 1, rawData: LONG };
    const bytes = modelOf({ name: 'g', node: [node], initializer: [tensor] });
    for (let length = 0; length < bytes.length; length += length < 64 ? 1 : 997) {
      expect(() => readOnnx(write(bytes.subarray(0, length)))).toThrow(/not an ONNX model|contains no graph/);
    }
  });

  test('is refused if messages are nested without end, or a length is absurd', () => {
    let graph: object = { name: 'g', node: [node], initializer: [{ name: 'w', dims: [5000], rawData: LONG }] };
    for (let i = 0; i < 100; i++) {
      graph = { name: 'g', node: [{ ...node, attribute: [{ name: 'body', type: 5, g: graph }] }] };
    }
    expect(() => readOnnx(write(modelOf(graph)))).toThrow(/nested too deeply/);
    const absurd = Buffer.from([0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    expect(() => readOnnx(write(absurd))).toThrow(/ends too early/);
    expect(() => readOnnx(write(randomBytes(5000)))).toThrow(/not an ONNX model|contains no graph/);
    expect(() => readOnnx(path.join(folder, 'none.onnx'))).toThrow(/cannot be read/);
  });
});
