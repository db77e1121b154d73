import type * as tf from '@tensorflow/tfjs';
import { createRandom, type TestModel } from './harness.fixture.ts';

type Attr = Record<string, unknown>;
interface Node {
  name: string;
  op: string;
  input: string[];
  attr: Record<string, Attr>;
}

/** A string attribute's value. */
export const text = (value: string): string => Buffer.from(value).toString('base64');
/** A list attribute of whole numbers. */
export const ints = (...values: number[]): Attr => ({ list: { i: values.map(String) } });
const FLOAT = { type: 'DT_FLOAT' };

/** Writes a graph model as TensorFlow's converter would, node by node. */
export class GraphWriter {
  readonly nodes: Node[] = [];
  readonly #specs: tf.io.WeightsManifestEntry[] = [];
  readonly #data: Uint8Array[] = [];
  readonly #random = createRandom(3);

  constructor() {
    const shape = { shape: { dim: ['-1', '11', '8', '3'].map((size) => ({ size })) } };
    this.nodes.push({ name: 'image', op: 'Placeholder', input: [], attr: { shape, dtype: FLOAT } });
  }

  node(op: string, input: string[], attr: Record<string, Attr> = {}): string {
    const name = `${op}_${this.nodes.length}`;
    this.nodes.push({ name, op, input, attr });
    return name;
  }

  #constant(shape: number[], data: Float32Array | Int32Array): string {
    const isFloat = data instanceof Float32Array;
    const name = this.node('Const', [], { dtype: { type: isFloat ? 'DT_FLOAT' : 'DT_INT32' } });
    this.#specs.push({ name, shape, dtype: isFloat ? 'float32' : 'int32' });
    this.#data.push(new Uint8Array(data.buffer));
    return name;
  }

  ints(...values: number[]): string {
    return this.#constant([values.length], Int32Array.from(values));
  }

  int(value: number): string {
    return this.#constant([], Int32Array.of(value));
  }

  float(...values: number[]): string {
    return this.#constant(values.length === 1 ? [] : [values.length], Float32Array.from(values));
  }

  weights(...shape: number[]): string {
    const fanIn = shape.length > 1 ? shape.slice(0, -1).reduce((a, b) => a * b, 1) : 3;
    const spread = Math.sqrt(3 / fanIn);
    const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (this.#random() * 2 - 1) * spread);
    return this.#constant(shape, Float32Array.from(values));
  }

  positive(size: number): string {
    return this.#constant(
      [size],
      Float32Array.from({ length: size }, () => 0.5 + this.#random()),
    );
  }

  model(...outputs: string[]): TestModel {
    const named = Object.fromEntries(outputs.map((name, i) => [`output_${i}`, { name: `${name}:0` }]));
    const modelJson = {
      format: 'graph-model',
      modelTopology: { node: this.nodes, versions: { producer: 1087 } },
      signature: { inputs: { image: { name: 'image:0' } }, outputs: named },
      weightsManifest: [{ paths: ['weights.bin'], weights: this.#specs }],
    };
    return { modelJson, weightData: new Uint8Array(Buffer.concat(this.#data)).buffer };
  }
}
