/** Graph operations that compute. */
import { describe, expect, test } from 'vitest';
import { type GraphWriter, ints, text } from './graph-writer.fixture.ts';
import { conv, convertOnly, difference, features, LIMIT } from './graphs.fixture.ts';

describe('graph ops agree with tfjs', () => {
  for (const padding of ['SAME', 'VALID']) {
    for (const strides of [1, 2, 3]) {
      test(`convolutions, ${padding}, strides ${strides}`, async () => {
        for (const size of [1, 2, 3]) {
          const attr = conv(strides, padding);
          expect(await difference((g) => g.node('Conv2D', ['image', g.weights(size, 3, 3, 4)], attr))).toBeLessThan(
            LIMIT,
          );
          for (const multiplier of [1, 2]) {
            const depthwise = (g: GraphWriter) =>
              g.node('DepthwiseConv2dNative', [features(g), g.weights(size, 2, 6, multiplier)], attr);
            expect(await difference(depthwise)).toBeLessThan(LIMIT);
          }
          for (const op of ['MaxPool', 'AvgPool']) {
            const ksize = ints(1, size, 2, 1);
            expect(await difference((g) => g.node(op, [features(g)], { ...attr, ksize }))).toBeLessThan(LIMIT);
          }
        }
      });
    }
    test(`dilated convolutions, ${padding}`, async () => {
      for (const dilation of [2, 3]) {
        const attr = conv(1, padding, dilation);
        expect(await difference((g) => g.node('Conv2D', ['image', g.weights(3, 3, 3, 4)], attr))).toBeLessThan(LIMIT);
        const depthwise = (g: GraphWriter) => g.node('DepthwiseConv2dNative', ['image', g.weights(3, 3, 3, 2)], attr);
        expect(await difference(depthwise)).toBeLessThan(LIMIT);
      }
    });
  }

  test('explicit padding', async () => {
    const attr = { ...conv(2, 'EXPLICIT'), explicit_paddings: ints(0, 0, 1, 2, 0, 1, 0, 0) };
    expect(await difference((g) => g.node('Conv2D', ['image', g.weights(3, 3, 3, 4)], attr))).toBeLessThan(LIMIT);
  });

  test.each(['', 'Relu', 'Relu6', 'Elu', 'Sigmoid', 'LeakyRelu', 'Prelu'])(
    'fused with BiasAdd and %s',
    async (step) => {
      const fused = ['BiasAdd', ...(step ? [step] : [])];
      const extra = (count: number) => ({
        fused_ops: { list: { s: fused.map(text) } },
        num_args: { i: String(count) },
        leakyrelu_alpha: { f: 0.3 },
      });
      const args = (g: GraphWriter, size: number) => [g.weights(size), ...(step === 'Prelu' ? [g.weights(size)] : [])];
      const count = step === 'Prelu' ? 2 : 1;
      const attr = { ...conv(2, 'SAME'), ...extra(count) };
      const full = (g: GraphWriter) => g.node('_FusedConv2D', ['image', g.weights(3, 3, 3, 5), ...args(g, 5)], attr);
      expect(await difference(full)).toBeLessThan(LIMIT);
      const depthwise = (g: GraphWriter) =>
        g.node('FusedDepthwiseConv2dNative', ['image', g.weights(3, 3, 3, 1), ...args(g, 3)], attr);
      // tfjs does not read this alpha for its depthwise op and answers NaN.
      if (step !== 'LeakyRelu') expect(await difference(depthwise)).toBeLessThan(LIMIT);
      const dense = (g: GraphWriter) => {
        const flat = g.node('Reshape', ['image', g.ints(-1, 264)]);
        return g.node('_FusedMatMul', [flat, g.weights(264, 7), ...args(g, 7)], extra(count));
      };
      expect(await difference(dense)).toBeLessThan(LIMIT);
    },
  );

  test('fused with an activation alone, as the tfjs converter writes a depthwise convolution without a bias', async () => {
    const attr = { ...conv(2, 'SAME'), fused_ops: { list: { s: ['NoOp', 'Relu6'].map(text) } } };
    const write = (g: GraphWriter) => g.node('FusedDepthwiseConv2dNative', ['image', g.weights(3, 3, 3, 2)], attr);
    expect(await difference(write)).toBeLessThan(LIMIT);
  });

  // tfjs lacks these, so the steps that TensorFlow merged are written out for it.
  const steps: Record<string, (g: GraphWriter, value: string) => string> = {
    Tanh: (g, value) => g.node('Tanh', [value]),
    _FusedHardSwish: (g, value) => {
      const gate = g.node('Relu6', [g.node('AddV2', [value, g.float(3)])]);
      return g.node('Mul', [g.node('Mul', [value, gate]), g.float(1 / 6)]);
    },
    GeluExact: (g, value) => {
      const error = g.node('Erf', [g.node('Mul', [value, g.float(Math.SQRT1_2)])]);
      return g.node('Mul', [g.node('Mul', [value, g.float(0.5)]), g.node('AddV2', [error, g.float(1)])]);
    },
    GeluApproximate: (g, value) => {
      const cube = g.node('Mul', [g.node('Mul', [value, g.node('Square', [value])]), g.float(0.044715)]);
      const sum = g.node('AddV2', [value, cube]);
      const tanh = g.node('Tanh', [g.node('Mul', [sum, g.float(Math.sqrt(2 / Math.PI))])]);
      return g.node('Mul', [g.node('Mul', [value, g.float(0.5)]), g.node('AddV2', [tanh, g.float(1)])]);
    },
  };
  test.each(Object.entries(steps))('fused with BiasAdd and %s, as the same steps one by one', async (step, write) => {
    const attr = conv(2, 'SAME');
    const fused = { ...attr, fused_ops: { list: { s: ['BiasAdd', step].map(text) } }, num_args: { i: '1' } };
    const whole = (g: GraphWriter) => g.node('_FusedConv2D', ['image', g.weights(3, 3, 3, 5), g.weights(5)], fused);
    const parts = (g: GraphWriter) => {
      const product = g.node('Conv2D', ['image', g.weights(3, 3, 3, 5)], attr);
      return write(g, g.node('BiasAdd', [product, g.weights(5)]));
    };
    expect(await difference(whole, parts)).toBeLessThan(LIMIT);
  });

  test.each(['SAME', 'VALID'])('transposed convolution, %s', async (padding) => {
    for (const strides of [1, 2, 3]) {
      for (const size of [2, 3, 4]) {
        const out = (n: number) => (padding === 'SAME' ? n * strides : (n - 1) * strides + size);
        const write = (g: GraphWriter) =>
          g.node(
            'Conv2DBackpropInput',
            [g.ints(2, out(11), out(8), 4), g.weights(size, size, 4, 3), 'image'],
            conv(strides, padding),
          );
        expect(await difference(write)).toBeLessThan(LIMIT);
      }
    }
  });

  test('transposed convolutions with explicit padding, and of any number of images', async () => {
    const size = { rows: 2 * 10 + 4, columns: 2 * 7 + 3 };
    const transposed = (g: GraphWriter, sizes: string, attr: object) =>
      g.node('Conv2DBackpropInput', [sizes, g.weights(4, 3, 4, 3), 'image'], { ...conv(2, 'VALID'), ...attr });
    const explicit = (g: GraphWriter) => {
      const attr = { padding: { s: text('EXPLICIT') }, explicit_paddings: ints(0, 0, 1, 2, 0, 1, 0, 0) };
      return transposed(g, g.ints(2, size.rows - 3, size.columns - 1, 4), attr);
    };
    // The same without padding, cut afterwards.
    const cut = (g: GraphWriter) => {
      const whole = transposed(g, g.ints(2, size.rows, size.columns, 4), {});
      return g.node('Slice', [whole, g.ints(0, 1, 0, 0), g.ints(-1, size.rows - 3, size.columns - 1, 4)]);
    };
    expect(await difference(explicit, cut)).toBeLessThan(LIMIT);
    const counted = (g: GraphWriter) => {
      const parts = [g.node('Shape', ['image']), g.ints(0), g.ints(1), g.ints(1)];
      const count = g.node('StridedSlice', parts, { shrink_axis_mask: { i: '1' } });
      const sizes = [count, g.int(size.rows), g.int(size.columns), g.int(4)];
      return transposed(g, g.node('Pack', sizes, { N: { i: '4' } }), {});
    };
    expect(await difference(counted)).toBeLessThan(LIMIT);
  });

  test.each(['FusedBatchNorm', 'FusedBatchNormV3'])('%s behind and in front of a convolution', async (op) => {
    const norm = (g: GraphWriter, at: string, size: number) =>
      g.node(op, [at, g.positive(size), g.weights(size), g.weights(size), g.positive(size)], { epsilon: { f: 0.01 } });
    expect(await difference((g) => norm(g, features(g), 6))).toBeLessThan(LIMIT);
    const before = (g: GraphWriter) => g.node('Conv2D', [norm(g, 'image', 3), g.weights(3, 3, 3, 4)], conv(1, 'SAME'));
    expect(await difference(before)).toBeLessThan(LIMIT);
  });

  test.each([
    'Relu',
    'Relu6',
    'Elu',
    'Selu',
    'Sigmoid',
    'Tanh',
    'Softplus',
    'Softmax',
    'LogSoftmax',
    'LeakyRelu',
    'Exp',
    'Neg',
    'Abs',
    'Square',
    'Floor',
    'Ceil',
    'Erf',
    'Sign',
    'Sin',
    'Cos',
    'Identity',
    'StopGradient',
  ])('%s', async (op) => {
    expect(await difference((g) => g.node(op, [features(g)]))).toBeLessThan(LIMIT);
  });

  test.each(['Sqrt', 'Rsqrt', 'Log', 'Reciprocal', 'Log1p'])('%s of positive numbers', async (op) => {
    const positive = (g: GraphWriter) => g.node('AddV2', [g.node('Square', [features(g)]), g.float(0.5)]);
    expect(await difference((g) => g.node(op, [positive(g)]))).toBeLessThan(LIMIT);
  });

  test.each(['Add', 'AddV2', 'Sub', 'Mul', 'Maximum', 'Minimum', 'SquaredDifference', 'RealDiv', 'FloorDiv'])(
    '%s with an image, a pixel, a channel vector and a number',
    async (op) => {
      const other = (g: GraphWriter) => g.node('AddV2', [g.node('Abs', [features(g)]), g.float(0.75)]);
      expect(await difference((g) => g.node(op, [features(g), other(g)]))).toBeLessThan(LIMIT);
      const pixel = (g: GraphWriter) => g.node('Mean', [other(g), g.ints(1, 2)], { keep_dims: { b: true } });
      expect(await difference((g) => g.node(op, [features(g), pixel(g)]))).toBeLessThan(LIMIT);
      expect(await difference((g) => g.node(op, [features(g), g.positive(6)]))).toBeLessThan(LIMIT);
      expect(await difference((g) => g.node(op, [features(g), g.float(0.7)]))).toBeLessThan(LIMIT);
    },
  );

  test('Pow, AddN, Prelu, ClipByValue, BiasAdd', async () => {
    expect(await difference((g) => g.node('Pow', [g.node('Abs', [features(g)]), g.float(1.5)]))).toBeLessThan(LIMIT);
    expect(await difference((g) => g.node('AddN', [features(g), features(g), features(g)]))).toBeLessThan(LIMIT);
    expect(await difference((g) => g.node('Prelu', [features(g), g.weights(6)]))).toBeLessThan(LIMIT);
    expect(await difference((g) => g.node('ClipByValue', [features(g), g.float(-0.2), g.float(0.4)]))).toBeLessThan(
      LIMIT,
    );
    expect(await difference((g) => g.node('BiasAdd', [features(g), g.weights(6)]))).toBeLessThan(LIMIT);
  });

  test.each(['Mean', 'Max', 'Min', 'Sum'])('%s over rows and columns, channels, one axis', async (op) => {
    for (const axes of [[1, 2], [3], [1], [-1, -2]]) {
      for (const keep of [true, false]) {
        const write = (g: GraphWriter) => g.node(op, [features(g), g.ints(...axes)], { keep_dims: { b: keep } });
        expect(await difference(write)).toBeLessThan(LIMIT);
      }
    }
  });

  test('MatMul with either side transposed, and between computed values', async () => {
    for (const turned of [true, false]) {
      const dense = (g: GraphWriter) => {
        const pooled = g.node('Mean', [features(g), g.ints(1, 2)]);
        return g.node('MatMul', [pooled, turned ? g.weights(5, 6) : g.weights(6, 5)], { transpose_b: { b: turned } });
      };
      expect(await difference(dense)).toBeLessThan(LIMIT);
      const attention = (g: GraphWriter) => {
        const rows = g.node('Reshape', [features(g), g.ints(-1, 88, 6)]);
        return g.node('BatchMatMulV2', [rows, turned ? rows : g.node('Transpose', [rows, g.ints(0, 2, 1)])], {
          adj_y: { b: turned },
        });
      };
      expect(await difference(attention)).toBeLessThan(LIMIT);
    }
  });

  test('Einsum, as the attention of Keras writes it', async () => {
    const attention = (g: GraphWriter) => {
      const rows = g.node('Reshape', [features(g), g.ints(-1, 88, 6)]);
      const product = (equation: string, ...inputs: string[]) =>
        g.node('Einsum', inputs, { equation: { s: text(equation) }, N: { i: String(inputs.length) } });
      const [query, key, value] = [0, 1, 2].map(() => product('abc,cde->abde', rows, g.weights(6, 2, 4)));
      const scores = g.node('Softmax', [product('aecd,abcd->acbe', key!, query!)]);
      return product('abcd,cde->abe', product('acbe,aecd->abcd', scores, value!), g.weights(2, 4, 6));
    };
    expect(await difference(attention)).toBeLessThan(LIMIT);
    // tfjs takes B and b for one axis, TensorFlow does not.
    const letters = (equation: string) => (g: GraphWriter) => {
      const rows = g.node('Reshape', [features(g), g.ints(-1, 88, 6)]);
      return g.node('Einsum', [rows, g.weights(6, 4)], { equation: { s: text(equation) }, N: { i: '2' } });
    };
    expect(await difference(letters('bBc,cC->bBC'), letters('bpc,cq->bpq'))).toBeLessThan(LIMIT);
  });

  test.each(['...bc,cd->...bd', 'abb->ab', 'ab,bc', 'abc->abd', 'abc,cd,de->abe'])(
    'Einsum %s is refused',
    async (equation) => {
      const write = (g: GraphWriter) => {
        const rows = g.node('Reshape', [features(g), g.ints(-1, 88, 6)]);
        return g.node('Einsum', [rows, g.weights(6, 4)], { equation: { s: text(equation) }, N: { i: '2' } });
      };
      await expect(convertOnly(write)).rejects.toThrow('Einsum');
    },
  );
});
