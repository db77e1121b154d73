import { describe, expect, test } from 'vitest';
import type { InnerGraph, TraceGraph, TraceNode } from './input-trace.ts';
import { findFront } from './model-front.ts';

const CONSTANTS: Record<string, { shape: number[]; values: number[] }> = {
  scale: { shape: [], values: [255] },
  weightedMean: { shape: [1, 3, 1, 1], values: [0.299, 0.587, 0.114] },
  diagonal: { shape: [3, 3, 1, 1], values: [0.1, 0, 0, 0, 0.2, 0, 0, 0, 0.3] },
  eachAlone: { shape: [3, 1, 1, 1], values: [0.1, 0.2, 0.3] },
  learned: { shape: [3, 3, 1, 1], values: [0.1, 0.4, -0.2, 0.3, 0.2, 0.7, -0.4, 0.2, 0.3] },
};

/** Each node is its operator, its inputs and its output. */
function frontOf(...nodes: [op: string, inputs: string, output: string][]) {
  const trace: TraceNode[] = nodes.map(([op, inputs, output]) => ({
    op,
    inputs: inputs.split(' '),
    outputs: [output],
  }));
  const constantOf = (name: string) => CONSTANTS[name];
  const graph = { nodes: trace, constantOf, outputs: [], convolution: { layout: 'nchw', channelsAxis: 1 } } as const;
  const front = findFront(graph, 'x');
  return front && { operators: front.places.map((place) => trace[place]?.op), ends: front.ends };
}

test('what a model does with its channels before its first convolution is all in front', () => {
  const front = frontOf(
    ['Slice', 'x', 'red'],
    ['Slice', 'x', 'green'],
    ['Mul', 'red scale', 'scaled'],
    ['Concat', 'scaled green', 'joined'],
    ['Conv', 'joined kernel', 'features'],
    ['Mul', 'features scale', 'later'],
  );
  expect(front).toEqual({ operators: ['Slice', 'Slice', 'Mul', 'Concat'], ends: ['joined'] });
});

test.each(['weightedMean', 'diagonal', 'eachAlone'])(
  'a convolution of one pixel with %s is not a learned one',
  (weights) => {
    const front = frontOf(['Conv', `x ${weights}`, 'prepared'], ['Conv', 'prepared kernel', 'features']);
    expect(front).toEqual({ operators: ['Conv'], ends: ['prepared'] });
  },
);

test('constants are followed to where they come from', () => {
  const front = frontOf(['Cast', 'mean', 'floats'], ['Sub', 'x floats', 'centered'], ['Conv', 'centered kernel', 'y']);
  expect(front).toEqual({ operators: ['Cast', 'Sub'], ends: ['centered'] });
});

test.each<[string, [op: string, inputs: string, output: string][]]>([
  ['a convolution that was learned', [['Conv', 'x learned', 'y']]],
  ['numbers that choose rows of a table', [['Gather', 'table x', 'y']]],
  ['values that are quantized by their own range', [['DynamicQuantizeLinear', 'x', 'y']]],
  ['an activation', [['Sigmoid', 'x', 'y']]],
])('%s is not in front', (_, nodes) => {
  expect(frontOf(...nodes, ['Conv', 'y kernel', 'z'])).toBeUndefined();
});

test('a constant that takes only the type or the size of an image is not one', () => {
  const front = frontOf(
    ['CastLike', 'scale x', 'zero'],
    ['Shape', 'x', 'size'],
    ['Expand', 'zero size', 'bias'],
    ['Conv', 'x kernel bias', 'y'],
  );
  expect(front).toBeUndefined();
});

test('an image that is multiplied with what the model has learned of it ends there', () => {
  const front = frontOf(
    ['Div', 'x scale', 'unit'],
    ['Conv', 'unit kernel', 'attention'],
    ['Mul', 'unit attention', 'attended'],
    ['Conv', 'attended kernel', 'y'],
  );
  expect(front).toEqual({ operators: ['Div'], ends: ['unit'] });
});

describe('control flow', () => {
  const turn = (...nodes: [op: string, inputs: string, output: string][]) =>
    nodes.map(([op, inputs, output]) => ({ op, inputs: inputs.split(' '), outputs: [output] }));
  const graphOf = (...nodes: TraceNode[]): TraceGraph => ({
    nodes: [...nodes, { op: 'Conv', inputs: ['prepared', 'kernel'], outputs: ['y'] }],
    constantOf: (name) => CONSTANTS[name],
    outputs: ['y'],
    convolution: { layout: 'nchw', channelsAxis: 1 },
  });
  const loop = (body: Omit<InnerGraph, 'inputs'>, inputs = ['count', 'go', 'start']): TraceNode => {
    const inner = [{ inputs: ['i', 'goes', 'carried'], ...body }];
    return { op: 'Loop', inputs: [...inputs, 'x', 'scale'], outputs: ['last', 'prepared'], inner };
  };
  const scaled = turn(['Gather', 'x i', 'one'], ['Div', 'one scale', 'row'], ['Add', 'carried i', 'more']);

  test('that prepares each image of a batch is in front', () => {
    expect(findFront(graphOf(loop({ nodes: scaled, outputs: ['goes', 'more', 'row'] })), 'x')).toMatchObject({
      places: [0],
      ends: ['prepared'],
    });
  });

  test.each<[string, TraceNode]>([
    ['has learned', loop({ nodes: turn(['MatMul', 'x kernel', 'row']), outputs: ['goes', 'carried', 'row'] })],
    ['ends by what an image has', loop({ nodes: scaled, outputs: ['row', 'more', 'row'] })],
    ['ends by what an image had', loop({ nodes: scaled, outputs: ['carried', 'row', 'row'] })],
    [
      'repeats as often as an image says',
      loop({ nodes: scaled, outputs: ['goes', 'more', 'row'] }, ['x', 'go', 'start']),
    ],
    ['counts with images', loop({ nodes: turn(['Gather', 'x carried', 'row']), outputs: ['goes', 'row', 'row'] })],
  ])('that %s is not', (_, node) => {
    expect(findFront(graphOf(node), 'x')).toBeUndefined();
  });

  test.each([
    ['the size', ['Shape', 'x', 'size'], ['prepared']],
    ['the values', ['ReduceMax', 'x', 'size'], ['size', 'x']],
  ] as const)('that is chosen by %s of an image', (_, [op, input, output], ends) => {
    const inner = ['Div', 'Mul'].map((op) => ({ nodes: turn([op, 'x scale', 'r']), inputs: [], outputs: ['r'] }));
    const choice = { op: 'If', inputs: ['size', 'x', 'scale'], outputs: ['prepared'], inner };
    expect(findFront(graphOf({ op, inputs: [input], outputs: [output] }, choice), 'x')?.ends).toEqual(ends);
  });
});
