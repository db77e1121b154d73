import { expect, test } from 'vitest';
import { GraphWriter, ints, text } from '../golden/graph-writer.fixture.ts';
import { parseGraph, requireFaithfulGraph } from './graphdef.ts';

type Attributes = Parameters<GraphWriter['node']>[2];

function check(op: string, attr: Attributes): void {
  const writer = new GraphWriter();
  const { modelJson } = writer.model(writer.node(op, ['image'], attr));
  const { modelTopology, signature } = modelJson as { modelTopology: Record<string, unknown>; signature: unknown };
  requireFaithfulGraph(parseGraph(modelTopology, signature));
}

const NCHW = { data_format: { s: text('NCHW') } };

test.each<[string, Attributes, string]>([
  ['AvgPool', NCHW, 'takes nchw for channels last'],
  ['BiasAdd', NCHW, 'takes nchw for channels last'],
  ['FakeQuantWithMinMaxVars', {}, 'does not round numbers as training for bytes does'],
  ['FusedDepthwiseConv2dNative', { fused_ops: { list: { s: [text('LeakyRelu')] } } }, 'ignores its alpha'],
  ['Conv2DBackpropInput', { dilations: ints(1, 2, 2, 1) }, 'ignores its dilations'],
  ['OneHot', { axis: { i: '1' } }, 'ignores its axis'],
])('a graph that tfjs would answer wrongly is refused by its node: %s', (op, attr, reason) => {
  expect(() => check(op, attr)).toThrow(`tfjs ${reason}: node ${op}_1 (${op})`);
});

test.each<[string, Attributes]>([
  ['AvgPool', { data_format: { s: text('NHWC') } }],
  ['FusedBatchNormV3', NCHW],
  ['FusedDepthwiseConv2dNative', { fused_ops: { list: { s: [text('BiasAdd'), text('Relu')] } } }],
  ['Conv2DBackpropInput', { dilations: ints(1, 1, 1, 1) }],
  ['OneHot', { axis: { i: '-1' } }],
  ['Acosh', {}],
])('others are not: %s', (op, attr) => {
  check(op, attr);
});
