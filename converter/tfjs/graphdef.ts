import { z } from 'zod';
import { ModelError } from '../errors.ts';

/** 64-bit numbers are strings in JSON. */
const whole = z.union([z.string().regex(/^-?\d+$/, 'a whole number'), z.number()]);

const attrSchema = z.looseObject({
  s: z.union([z.string(), z.array(z.number())]).optional(),
  i: whole.optional(),
  f: z.union([z.number(), z.string()]).optional(),
  b: z.boolean().optional(),
  type: z.union([z.string(), z.number()]).optional(),
  list: z
    .looseObject({
      i: z.array(whole).optional(),
      s: z.array(z.union([z.string(), z.array(z.number())])).optional(),
    })
    .optional(),
  shape: z.looseObject({ dim: z.array(z.looseObject({ size: whole.optional() })).optional() }).optional(),
});

const nodeSchema = z.looseObject({
  name: z.string(),
  op: z.string(),
  input: z.array(z.string()).optional(),
  attr: z.record(z.string(), attrSchema).nullish(),
});

const graphSchema = z.looseObject({ node: z.array(nodeSchema).max(100_000) });
const signatureSchema = z.looseObject({
  outputs: z.record(z.string(), z.looseObject({ name: z.string().optional() })).optional(),
});

/** TensorFlow's numbers of the types that matter here. */
const TYPE_NAMES: Record<string, string> = {
  1: 'DT_FLOAT',
  3: 'DT_INT32',
  9: 'DT_INT64',
  10: 'DT_BOOL',
  19: 'DT_HALF',
};

/** A node's attributes, decoded as tfjs decodes them. */
export class NodeAttributes {
  readonly #attributes: Record<string, z.infer<typeof attrSchema>>;

  constructor(attributes: Record<string, z.infer<typeof attrSchema>>) {
    this.#attributes = attributes;
  }

  number(name: string, fallback: number): number {
    const value = this.#attributes[name]?.i ?? this.#attributes[name]?.f;
    return value === undefined ? fallback : Number(value);
  }

  numbers(name: string, fallback: readonly number[]): number[] {
    return this.#attributes[name]?.list?.i?.map(Number) ?? [...fallback];
  }

  boolean(name: string, fallback = false): boolean {
    return this.#attributes[name]?.b ?? fallback;
  }

  /** In lower case. */
  text(name: string, fallback: string): string {
    const value = this.#attributes[name]?.s;
    return value === undefined ? fallback : decodeText(value);
  }

  /** In lower case. */
  texts(name: string): string[] {
    return this.#attributes[name]?.list?.s?.map(decodeText) ?? [];
  }

  /** DT_FLOAT, DT_INT32, … */
  type(name: string): string {
    const value = this.#attributes[name]?.type ?? 'DT_FLOAT';
    return TYPE_NAMES[String(value)] ?? String(value);
  }

  /** -1 for an unknown size; undefined for an unknown rank. */
  shape(name: string): number[] | undefined {
    return this.#attributes[name]?.shape?.dim?.map((dim) => Number(dim.size ?? -1));
  }
}

function decodeText(value: string | number[]): string {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(value);
  return bytes.toString('latin1').toLowerCase();
}

/** One tensor of a graph: a node and which of its outputs. */
export interface OutputRef {
  node: string;
  output: number;
}

export interface GraphNode {
  name: string;
  op: string;
  inputs: OutputRef[];
  attributes: NodeAttributes;
}

/** A tfjs graph model's graph. */
export interface GraphDef {
  nodes: Map<string, GraphNode>;
  /** In the signature's order, by the name that it gives them; else the nodes that nobody reads. */
  outputs: { name: string; ref: OutputRef }[];
}

function parseRef(text: string): OutputRef {
  const [node = '', ...rest] = text.split(':');
  const output = Number(rest.at(-1) ?? 0);
  return { node, output: Number.isInteger(output) ? output : 0 };
}

/**
 * Reads a graph model's topology.
 * @throws ModelError TOPOLOGY_INVALID
 */
export function parseGraph(modelTopology: Record<string, unknown>, signature: unknown): GraphDef {
  const parsed = graphSchema.safeParse(modelTopology);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ModelError(
      'TOPOLOGY_INVALID',
      `modelTopology is not a graph: ${issue?.path.join('.')}: ${issue?.message}`,
    );
  }
  const nodes = new Map<string, GraphNode>();
  const read = new Set<string>();
  for (const { name, op, input = [], attr } of parsed.data.node) {
    const inputs = input.filter((text) => !text.startsWith('^')).map(parseRef);
    for (const ref of inputs) read.add(ref.node);
    nodes.set(name, { name, op, inputs, attributes: new NodeAttributes(attr ?? {}) });
  }
  const declared = Object.entries(signatureSchema.safeParse(signature).data?.outputs ?? {});
  const outputs = declared.map(([name, entry]) => ({ name, ref: parseRef(entry.name ?? name) }));
  const ends = [...nodes.keys()].filter((name) => !read.has(name) && nodes.get(name)?.op !== 'NoOp');
  return {
    nodes,
    outputs: outputs.length > 0 ? outputs : ends.map((name) => ({ name, ref: { node: name, output: 0 } })),
  };
}
