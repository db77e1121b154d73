import { describe, expect, test } from 'vitest';
import { hasUnitLength, readEnding } from './final-activation.ts';

/** A chain of operators from `x` to `output`. */
function chain(...ops: string[]) {
  return ops.map((opType, i) => ({
    opType,
    input: [i === 0 ? 'x' : `v${i - 1}`],
    output: [i === ops.length - 1 ? 'output' : `v${i}`],
  }));
}

describe('the end of an ONNX graph', () => {
  test.each([
    [['Gemm'], 'logits', true],
    [['Gemm', 'Identity'], 'logits', true],
    [['Gemm', 'Softmax'], 'softmax', true],
    [['Conv', 'Softmax', 'Squeeze', 'Identity'], 'softmax', true],
    [['Gemm', 'Softmax', 'Cast'], 'softmax', true],
    [['Gemm', 'Softmax', 'Reshape', 'Flatten'], 'softmax', true],
    [['Gemm', 'Sigmoid'], 'sigmoid', true],
    [['Gemm', 'Sigmoid', 'Cast', 'Reshape'], 'sigmoid', true],
    [['Gemm', 'HardSigmoid'], 'sigmoid', true],
    [['Gemm', 'LogSoftmax'], 'logits', true],
    [['Gemm', 'Softmax', 'Log'], 'logits', true],
    [['Gemm', 'Sigmoid', 'Log'], 'logits', false],
    [['Gemm', 'Sigmoid', 'Add', 'Log'], 'logits', false],
    [['Gemm', 'Sigmoid', 'Clip', 'Log'], 'logits', false],
    [['Gemm', 'Softmax', 'Add', 'Log'], 'logits', true],
    [['Gemm', 'Neg', 'Softplus', 'Neg'], 'logits', false],
    [['Softmax', 'Gemm'], 'logits', true],
    [['Conv', 'Sigmoid', 'GlobalAveragePool', 'Flatten'], 'logits', false],
    [['Gemm', 'Softmax', 'Clip'], 'logits', false],
    [['Gemm', 'Tanh'], 'logits', false],
  ])('%s is %s', (ops, activation, certain) => {
    expect(readEnding(chain(...ops), 'output')).toMatchObject({ activation, certain });
  });

  test('is found if a softmax or a sigmoid is spelled out', () => {
    const softmax = [
      { opType: 'Exp', input: ['x'], output: ['e'] },
      { opType: 'ReduceSum', input: ['e'], output: ['s'] },
      { opType: 'Div', input: ['e', 's'], output: ['output'] },
    ];
    expect(readEnding(softmax, 'output')).toMatchObject({ activation: 'softmax', certain: true });
    const sigmoid = [
      { opType: 'Neg', input: ['x'], output: ['n'] },
      { opType: 'Exp', input: ['n'], output: ['e'] },
      { opType: 'Add', input: ['one', 'e'], output: ['s'] },
      { opType: 'Div', input: ['one', 's'], output: ['output'] },
    ];
    expect(readEnding(sigmoid, 'output')).toMatchObject({ activation: 'sigmoid', certain: true });
    const mean = [
      { opType: 'Exp', input: ['x'], output: ['e'] },
      { opType: 'Div', input: ['e', 'n'], output: ['output'] },
    ];
    expect(readEnding(mean, 'output').certain).toBe(false);
  });

  test.each([
    ['Log', ['Sigmoid', 'Add', 'Log']],
    ['Log', ['Sigmoid', 'Max', 'Log']],
    ['Log', ['Sigmoid', 'Log']],
    ['Neg', ['Neg', 'Softplus', 'Neg']],
  ])('is the logarithm of a sigmoid, with and without what keeps it finite: %s of %s', (_, ops) => {
    expect(readEnding(chain('Gemm', ...ops), 'output').op).toBe('LogSigmoid');
  });

  test('may be a bias after a product, and a cyclic graph ends', () => {
    const bias = [
      { opType: 'MatMul', input: ['x', 'w'], output: ['m'] },
      { opType: 'Add', input: ['b', 'm'], output: ['output'] },
    ];
    expect(readEnding(bias, 'output')).toEqual({ activation: 'logits', certain: true, op: 'Add' });
    const circle = [{ opType: 'Identity', input: ['output'], output: ['output'] }];
    expect(readEnding(circle, 'output').certain).toBe(false);
    expect(readEnding([], 'output')).toMatchObject({ certain: false });
  });
});

describe('a vector of the length 1', () => {
  const node = (opType: string, input: string[], output: string) => ({ opType, input, output: [output] });
  /** `x` times or through what its length makes. */
  const scaled = (...ops: string[]) => {
    const steps = ['Mul', ...ops].map((op, i, all) =>
      node(op, i === 0 ? ['x', 'x'] : [`l${i - 1}`, 'constant'], i === all.length - 1 ? 'length' : `l${i}`),
    );
    return [node('Gemm', ['image'], 'x'), ...steps];
  };
  const square = ['ReduceSum', 'Sqrt'];

  test.each([
    ['x / sqrt(sum)', [...scaled(...square), node('Div', ['x', 'length'], 'output')], true],
    [
      'x * rsqrt(max(sum, epsilon))',
      [...scaled('ReduceSum', 'Max', 'Sqrt', 'Reciprocal'), node('Mul', ['x', 'length'], 'output')],
      true,
    ],
    [
      'the same in another form',
      [...scaled(...square), node('Div', ['x', 'length'], 'v'), node('Squeeze', ['v'], 'output')],
      true,
    ],
    [
      'x / norm',
      [node('Gemm', ['image'], 'x'), node('ReduceL2', ['x'], 'length'), node('Div', ['x', 'length'], 'output')],
      true,
    ],
    ['a share of the sum', [...scaled('ReduceSum'), node('Div', ['x', 'length'], 'output')], false],
    ['a deviation', [...scaled('ReduceMean', 'Sqrt'), node('Div', ['x', 'length'], 'output')], false],
    [
      'scores of such a vector',
      [...scaled(...square), node('Div', ['x', 'length'], 'v'), node('Gemm', ['v'], 'output')],
      false,
    ],
  ] as const)('%s: %#', (_, nodes, expected) => {
    expect(
      hasUnitLength(
        nodes.map(({ opType, input, output }) => ({ opType, input: [...input], output: [...output] })),
        'output',
      ),
    ).toBe(expected);
  });
});
