import * as z from 'zod';
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
  readonly #read = new Set<string>();

  constructor(attributes: Record<string, z.infer<typeof attrSchema>>) {
    this.#attributes = attributes;
  }

  #get(name: string): z.infer<typeof attrSchema> | undefined {
    this.#read.add(name);
    return this.#attributes[name];
  }

  /** Names attributes that do not change an answer. */
  ignore(...names: string[]): void {
    for (const name of names) this.#read.add(name);
  }

  /** The first attribute that nobody has read, that is set, and that may change an answer. */
  firstUnread(): string | undefined {
    return Object.entries(this.#attributes).find(
      ([name, value]) => !this.#read.has(name) && !WITHOUT_EFFECT.test(name) && !isUnset(value),
    )?.[0];
  }

  number(name: string, fallback: number): number {
    const value = this.#get(name)?.i ?? this.#get(name)?.f;
    return value === undefined ? fallback : Number(value);
  }

  numbers(name: string, fallback: readonly number[]): number[] {
    return this.#get(name)?.list?.i?.map(Number) ?? [...fallback];
  }

  boolean(name: string, fallback = false): boolean {
    return this.#get(name)?.b ?? fallback;
  }

  /** In lower case. */
  text(name: string, fallback: string): string {
    const value = this.#get(name)?.s;
    return value === undefined ? fallback : decodeText(value);
  }

  /** As it is written; empty if it is absent. */
  exactText(name: string): string {
    return decodeExactText(this.#get(name)?.s ?? '');
  }

  /** In lower case. */
  texts(name: string): string[] {
    return this.#get(name)?.list?.s?.map(decodeText) ?? [];
  }

  /** DT_FLOAT, DT_INT32, … */
  type(name: string): string {
    const value = this.#get(name)?.type ?? 'DT_FLOAT';
    return TYPE_NAMES[String(value)] ?? String(value);
  }

  /** -1 for an unknown size; undefined for an unknown rank. */
  shape(name: string): number[] | undefined {
    return this.#get(name)?.shape?.dim?.map((dim) => Number(dim.size ?? -1));
  }
}

/** Types of inputs and outputs, their number, and what devices and optimizers need. */
const WITHOUT_EFFECT =
  /^(_.*|T|T(?!runcate)[a-z]\w*|TArgs|TI|U|SrcT|Index|dtype|out_type|index_type|N|num|num_split|num_args|use_cudnn_on_gpu)$/;

/** Counts as absent: TensorFlow omits defaults, or writes false, 0 or nothing for them. */
function isUnset({ s, i, f, b, list, ...others }: z.infer<typeof attrSchema>): boolean {
  if (s !== undefined) return s.length === 0;
  if (Object.keys(others).length > 0) return false;
  return !b && Number(i ?? 0) === 0 && Number(f ?? 0) === 0 && Object.values(list ?? {}).flat().length === 0;
}

function decodeExactText(value: string | number[]): string {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(value);
  return bytes.toString('latin1');
}

function decodeText(value: string | number[]): string {
  return decodeExactText(value).toLowerCase();
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
  if (!Number.isInteger(output) || output < 0) {
    throw new ModelError('TOPOLOGY_INVALID', `${text.slice(0, 100)} does not name an output of a node`);
  }
  return { node, output };
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

/**
 * tfjs ignores some attributes and ops.
 * @throws ModelError UNSUPPORTED_OP for a graph that tfjs would answer wrongly
 */
export function requireFaithfulGraph({ nodes }: GraphDef): void {
  for (const { name, op, attributes } of nodes.values()) {
    const reason = whyUnfaithful(op, attributes);
    if (reason) throw new ModelError('UNSUPPORTED_OP', `tfjs ${reason}: node ${name} (${op})`);
  }
}

/** What tfjs' list of ops declares as not supported, and what it reads wrongly. */
function whyUnfaithful(op: string, attributes: NodeAttributes): string | undefined {
  const order = attributes.text('data_format', 'nhwc');
  // The engines replace it.
  if (!op.startsWith('FusedBatchNorm') && order.startsWith('nc')) return `takes ${order} for channels last`;
  switch (op) {
    case 'FakeQuantWithMinMaxVars':
      return 'does not round numbers as training for bytes does';
    case 'FusedDepthwiseConv2dNative':
      return attributes.texts('fused_ops').includes('leakyrelu') ? 'ignores its alpha' : undefined;
    case 'Conv2DBackpropInput':
      return attributes.numbers('dilations', []).some((rate) => rate !== 1) ? 'ignores its dilations' : undefined;
    case 'OneHot':
      return attributes.number('axis', -1) === -1 ? undefined : 'ignores its axis';
    default:
      return undefined;
  }
}
