import { UnsupportedOpError } from '../../errors.ts';
import { allInputs, type NodeConverter } from './node-converter.ts';

/** Such as `abc,cd->abd`. TensorFlow and ONNX mean the same by it. */
const EQUATION = /^([a-z]+)(?:,([a-z]+))?->([a-z]*)$/i;

/** Multiplies along named axes, as attention layers of Keras do. Diagonals and ellipses are refused. */
const einsum: NodeConverter = (call) => {
  const { builder, attributes, op, name } = call;
  attributes.ignore('N');
  const equation = attributes.exactText('equation').replaceAll(' ', '');
  const inputs = allInputs(call).map((input) => builder.channelsLast(input));
  const [, first = '', second, result = ''] = EQUATION.exec(equation) ?? [];
  const terms = second === undefined ? [first] : [first, second];
  const sizes = new Map<string, number>();
  const isPlain = (axes: string) => new Set(axes).size === axes.length && [...axes].every((axis) => sizes.has(axis));
  let fits = first !== '' && terms.length === inputs.length;
  for (const [i, { shape }] of inputs.entries()) {
    const axes = [...(terms[i] ?? '')];
    fits &&= axes.length === shape.length && axes.every((axis, at) => (sizes.get(axis) ?? shape[at]) === shape[at]);
    for (const [at, axis] of axes.entries()) sizes.set(axis, shape[at] ?? 1);
  }
  if (!fits || ![...terms, result].every(isPlain)) throw new UnsupportedOpError(op, `${equation}, node ${name}`);
  const shape = [...result].map((axis) => sizes.get(axis) ?? 1);
  return builder.emit('Einsum', inputs, { shape }, { equation: { text: equation } });
};

export const EINSUM_NODES: Record<string, NodeConverter> = { Einsum: einsum };
