import { expect, test } from 'vitest';
import { toAnswer } from './answer-outputs.ts';
import type { OnnxModelGraph } from './decode-onnx.ts';

type Step = [op: string, attributes?: string];

/** An output of one dimension behind operators; an attribute is only named. */
function answerOf(size: number | undefined, batch: number | undefined, ...steps: Step[]) {
  const node = steps.map(([opType, attribute], i) => ({
    opType,
    input: [i === 0 ? 'features' : `v${i - 1}`],
    output: [i === steps.length - 1 ? 'y' : `v${i}`],
    attribute: attribute === undefined ? [] : [{ name: attribute }],
  }));
  const port = { name: 'y', type: 1, sizes: [size], sizeNames: ['batch'] };
  return toAnswer(port, { node } as unknown as OnnxModelGraph, batch);
}

test.each<
  [why: string, size: number | undefined, batch: number | undefined, steps: Step[], expected: number[] | undefined]
>([
  ['one number per image', undefined, undefined, [['Squeeze', 'axes']], []],
  ['one number per image of a fixed batch', 4, 4, [['Gemm'], ['Squeeze']], []],
  ['a row without a batch', 5, 1, [['Gemm'], ['Squeeze']], [5]],
  ['a row of a single image that was exported with an open batch', 5, undefined, [['Gemm'], ['Squeeze']], [5]],
  ['a row or one number', undefined, undefined, [['Gemm'], ['Squeeze']], undefined],
  ['a row or one number behind an activation', undefined, undefined, [['Gemm'], ['Squeeze'], ['Sigmoid']], undefined],
  ['a row or one number by a Reshape', undefined, undefined, [['Gemm'], ['Reshape']], undefined],
])('an output of one dimension is %s', (_, size, batch, steps, expected) => {
  const { imageSizes, classCount } = answerOf(size, batch, ...steps);
  expect(imageSizes).toEqual(expected);
  expect(classCount).toBe(expected === undefined ? undefined : (expected[0] ?? 1));
});

test('the best score of each image is not the scores of all classes', () => {
  expect(answerOf(undefined, undefined, ['Gemm'], ['ReduceMax', 'axes']).unfit).toContain('best scores only');
});
