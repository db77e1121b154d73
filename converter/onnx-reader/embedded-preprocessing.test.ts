import { describe, expect, test } from 'vitest';
import type { NormalizationSpec } from '../spec/input-spec.ts';
import { readEmbedded } from './embedded-preprocessing.ts';
import { type TraceNode, traceInput } from './input-trace.ts';

const BLUE_FIRST: NormalizationSpec = { scale: 1, mean: [0], std: [1], order: 'bgr' };

type Step = [op: string, ...values: number[]];

/** A graph that does some arithmetic in front of a convolution; `values` are a constant on the right. */
function traceOf(...steps: (Step | TraceNode)[]) {
  const constants = new Map<string, number[]>();
  const nodes: TraceNode[] = [];
  let last = 'x';
  for (const [i, step] of steps.entries()) {
    const outputs = [`v${i}`];
    if (Array.isArray(step)) {
      const [op, ...values] = step;
      if (values.length > 0) constants.set(`c${i}`, values);
      nodes.push({ op, inputs: values.length > 0 ? [last, `c${i}`] : [last], outputs });
    } else nodes.push({ ...step, inputs: [last, ...step.inputs], outputs });
    last = `v${i}`;
  }
  nodes.push({ op: 'Conv', inputs: [last, 'w'], outputs: ['y'] });
  const shapes = new Map([['w', [8, 3, 3, 3]]]);
  const constantOf = (name: string) => {
    const values = constants.get(name);
    const shape = shapes.get(name) ?? [values?.length ?? 0];
    return values || shapes.has(name) ? { shape, values } : undefined;
  };
  return traceInput({ nodes, constantOf, outputs: [], convolution: { layout: 'nchw', channelsAxis: 1 } }, 'x');
}

describe('preprocessing inside a model', () => {
  test.each<[string, Step[], NormalizationSpec | undefined, string]>([
    ['divides by 255', [['Div', 255]], 'none', 'divides by 255'],
    [
      'makes -1..1 of bytes',
      [
        ['Mul', 1 / 127.5],
        ['Add', -1],
      ],
      'none',
      'multiplies by 0.007843, adds -1',
    ],
    [
      'divides by 127.5 after it has subtracted it',
      [
        ['Sub', 127.5],
        ['Div', 127.5],
      ],
      'none',
      'subtracts 127.5, divides by 127.5',
    ],
    [
      'subtracts the means of ImageNet, red first',
      [['Sub', 123.68, 116.779, 103.939]],
      'none',
      'subtracts 123.7/116.8/103.9',
    ],
    [
      'subtracts the means of ImageNet, blue first',
      [['Sub', 103.939, 116.779, 123.68]],
      { scale: 1, mean: [0], std: [1], order: 'bgr' },
      'subtracts 103.9/116.8/123.7',
    ],
    [
      'normalizes bytes by mean and deviation',
      [
        ['Div', 255],
        ['Sub', 0.485, 0.456, 0.406],
        ['Div', 0.229, 0.224, 0.225],
      ],
      'none',
      'divides by 255, subtracts 0.485/0.456/0.406, divides by 0.229/0.224/0.225',
    ],
    [
      'normalizes 0..1 by mean and deviation',
      [
        ['Sub', 0.485, 0.456, 0.406],
        ['Div', 0.229, 0.224, 0.225],
      ],
      'unit',
      'subtracts',
    ],
    [
      'makes -1..1 of 0..1',
      [
        ['Mul', 2],
        ['Sub', 1],
      ],
      'unit',
      'multiplies by 2, subtracts 1',
    ],
    ['makes bytes of 0..1', [['Mul', 255]], 'unit', 'multiplies by 255'],
    [
      'makes bytes of 0..1 and subtracts their means',
      [
        ['Mul', 255],
        ['Sub', 123.68, 116.779, 103.939],
      ],
      'unit',
      'multiplies by 255, subtracts',
    ],
    [
      'makes 0..1 of -1..1',
      [
        ['Add', 1],
        ['Div', 2],
      ],
      'tf',
      'adds 1, divides by 2',
    ],
    [
      'makes bytes of -1..1',
      [
        ['Add', 1],
        ['Mul', 127.5],
      ],
      'tf',
      'adds 1, multiplies by 127.5',
    ],
    ['does something else', [['Mul', 1e6]], undefined, 'multiplies by 1000000'],
    // As values around 0 may be multiplied, too.
    ['multiplies by a number around 1', [['Mul', 1.2]], undefined, 'multiplies by 1.2'],
  ])('that %s is read from its graph', (_, steps, normalization, does) => {
    const found = readEmbedded(traceOf(...steps));
    expect(found?.normalization).toEqual(normalization);
    expect(found?.does).toContain(does);
  });

  test('is not found if there is none', () => {
    expect(readEmbedded(traceOf(['Cast'], ['Identity']))).toBeUndefined();
    expect(readEmbedded(traceOf(['Relu'], ['Div', 255]))).toBeUndefined();
  });

  test('is not read from an exchange of channels alone, which shows no range', () => {
    const nodes: TraceNode[] = [
      { op: 'Gather', inputs: ['x', 'order'], outputs: ['bgr'] },
      { op: 'Conv', inputs: ['bgr', 'w'], outputs: ['y'] },
    ];
    const constantOf = (name: string) => (name === 'order' ? { shape: [3], values: [2, 1, 0] } : undefined);
    const trace = traceInput({ nodes, constantOf, outputs: [], convolution: { layout: 'nchw', channelsAxis: 1 } }, 'x');
    expect(readEmbedded(trace)).toEqual({
      normalization: undefined,
      isOrderOpen: false,
      does: 'exchanges red and blue',
    });
  });

  test("is read from what ImageNet's normalization gives, channel by channel", () => {
    const trace = traceOf(['Mul', 0.458, 0.448, 0.45], ['Add', -0.03, -0.088, -0.188]);
    expect(readEmbedded(trace)?.normalization).toBe('torch');
  });

  test.each<[string, string[], number[], NormalizationSpec, boolean]>([
    ['red first', [], [0.485, 0.456, 0.406], 'none', false],
    ['blue first', [], [0.406, 0.456, 0.485], BLUE_FIRST, false],
    ['blue first, exchanged', ['Gather'], [0.485, 0.456, 0.406], BLUE_FIRST, false],
    ['red first, exchanged', ['Gather'], [0.406, 0.456, 0.485], 'none', false],
    ['in an order that nothing shows', ['Gather'], [0.5, 0.5, 0.5], 'none', true],
  ])('takes channels %s, by their means', (_, gather, means, normalization, isOrderOpen) => {
    const nodes: TraceNode[] = [
      ...gather.map((op) => ({ op, inputs: ['x', 'order'], outputs: ['exchanged'] })),
      { op: 'Div', inputs: [gather.length > 0 ? 'exchanged' : 'x', 'bytes'], outputs: ['unit'] },
      { op: 'Sub', inputs: ['unit', 'means'], outputs: ['y'] },
    ];
    const values: Record<string, number[]> = { order: [2, 1, 0], bytes: [255], means };
    const constantOf = (name: string) => ({ shape: [3], values: values[name] });
    const trace = traceInput({ nodes, constantOf, outputs: [], convolution: { layout: 'nchw', channelsAxis: 1 } }, 'x');
    expect(readEmbedded(trace)).toMatchObject({ normalization, isOrderOpen });
  });

  test('is read behind a limit of its values', () => {
    const trace = traceOf(['Clip', 0, 1], ['Sub', 0.485, 0.456, 0.406], ['Div', 0.229, 0.224, 0.225]);
    expect(readEmbedded(trace)?.normalization).toBe('unit');
  });

  test('is read through a crop, and next to a node whose numbers nobody reads', () => {
    const values: Record<string, number[]> = { start: [8, 8], end: [24, 24], axes: [1, 2], channel: [3], scale: [255] };
    const constantOf = (name: string) => values[name] && { shape: [values[name].length], values: values[name] };
    const trace = (axes: string) => {
      const nodes: TraceNode[] = [
        { op: 'Transpose', inputs: ['x'], outputs: ['turned'], perm: [0, 2, 3, 1] },
        { op: 'Shape', inputs: ['turned'], outputs: ['shape'] },
        { op: 'Slice', inputs: ['x', 'start', 'end', axes], outputs: ['cropped'] },
        { op: 'Div', inputs: ['cropped', 'scale'], outputs: ['scaled'] },
      ];
      return traceInput({ nodes, constantOf, outputs: [], convolution: { layout: 'nhwc', channelsAxis: 3 } }, 'x');
    };
    expect(readEmbedded(trace('axes'))).toEqual({ normalization: 'none', isOrderOpen: false, does: 'divides by 255' });
    // Some of the channels are another image.
    expect(readEmbedded(trace('channel'))).toBeUndefined();
  });

  test("is read through a resize and a crop of one dimension after the other, as torchvision's transforms write them", () => {
    const values: Record<string, number[]> = {
      same: [-1, 3, 64, 64],
      other: [-1, 64, 64, 3],
      start: [2],
      end: [30],
      height: [2],
      width: [3],
      step: [1],
      first: [0],
      third: [3],
      scale: [255],
    };
    const constantOf = (name: string) => values[name] && { shape: [values[name].length], values: values[name] };
    const trace = (shape: string, start: string, end: string) => {
      const nodes: TraceNode[] = [
        { op: 'Reshape', inputs: ['x', shape], outputs: ['reshaped'] },
        { op: 'Resize', inputs: ['reshaped'], outputs: ['resized'] },
        { op: 'Slice', inputs: ['resized', 'start', 'end', 'height', 'step'], outputs: ['lower'] },
        { op: 'Slice', inputs: ['lower', start, end, 'width', 'step'], outputs: ['cropped'] },
        { op: 'Div', inputs: ['cropped', 'scale'], outputs: ['scaled'] },
      ];
      const convolution = { layout: 'nchw', channelsAxis: 1 } as const;
      return traceInput({ nodes, constantOf, sizes: [1, 3, 64, 64], outputs: [], convolution }, 'x');
    };
    expect(readEmbedded(trace('same', 'start', 'end'))).toEqual({
      normalization: 'none',
      isOrderOpen: false,
      does: 'divides by 255',
    });
    expect(readEmbedded(trace('other', 'start', 'end'))).toBeUndefined();
    // Three of the last dimension may be channels.
    expect(readEmbedded(trace('same', 'first', 'third'))).toBeUndefined();
  });

  test('is read through a batch normalization and a change of channels', () => {
    const trace = traceOf({ op: 'Gather', inputs: [], outputs: [] }, ['Sub', 1, 2, 3]);
    expect(trace.steps).toEqual([]);
    const nodes: TraceNode[] = [
      { op: 'Gather', inputs: ['x', 'order'], outputs: ['bgr'] },
      { op: 'Sub', inputs: ['bgr', 'mean'], outputs: ['centered'] },
      {
        op: 'BatchNormalization',
        inputs: ['centered', 'gamma', 'beta', 'bnMean', 'variance'],
        outputs: ['y'],
        epsilon: 0,
      },
    ];
    const values: Record<string, number[]> = {
      order: [2, 1, 0],
      mean: [10, 20, 30],
      gamma: [1, 1, 1],
      beta: [0, 0, 0],
      bnMean: [0, 0, 0],
      variance: [10_000, 10_000, 10_000],
    };
    const constantOf = (name: string) => ({ shape: [3], values: values[name] });
    const found = traceInput({ nodes, constantOf, outputs: [], convolution: { layout: 'nchw', channelsAxis: 1 } }, 'x');
    expect(found.reversesChannels).toBe(true);
    // What is subtracted alone does not show the range; the statistics in training do.
    expect(readEmbedded(found)?.normalization).toBeUndefined();
    expect(found.trainedOn).toEqual({ mean: [10, 20, 30], deviation: [100, 100, 100] });
  });
});

describe('the layout of an image', () => {
  test.each([
    [[], 'nchw'],
    [[0, 3, 1, 2], 'nhwc'],
  ] as const)('with a transposition of %j in front of the first convolution is %s', (perm, layout) => {
    const transpose = { op: 'Transpose', inputs: [], outputs: [], perm };
    expect(traceOf(...(perm.length > 0 ? [transpose] : []))).toMatchObject({ layout, channels: 3 });
  });
});

test('a first convolution of each channel alone shows how many there are', () => {
  const nodes: TraceNode[] = [{ op: 'Conv', inputs: ['x', 'kernel'], outputs: ['y'], group: 3 }];
  const constantOf = () => ({ shape: [6, 1, 3, 3], values: undefined });
  const graph = { nodes, constantOf, outputs: ['y'], convolution: { layout: 'nchw', channelsAxis: 1 } } as const;
  expect(traceInput(graph, 'x').channels).toBe(3);
});
