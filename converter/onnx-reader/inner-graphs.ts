import type { onnx } from 'onnx-proto';

type Node = Pick<onnx.INodeProto, 'input' | 'output' | 'attribute'>;

/** The graphs inside a node: the branches of an If, the body of a Loop or of a Scan. */
export function innerGraphs({ attribute }: Pick<Node, 'attribute'>): onnx.IGraphProto[] {
  return (attribute ?? []).flatMap(({ g, graphs }) => [...(g ? [g] : []), ...(graphs ?? [])]);
}

/** What a node reads: its inputs in their order, then the values outside that its inner graphs read. */
export function valuesRead(node: Node): string[] {
  const inputs = node.input ?? [];
  return [...inputs, ...new Set(innerGraphs(node).flatMap(valuesFromOutside))];
}

function valuesFromOutside({ node, output, input, initializer, sparseInitializer }: onnx.IGraphProto): string[] {
  const nodes = node ?? [];
  const inside = new Set([
    ...[...(input ?? []), ...(initializer ?? [])].map(({ name }) => name ?? ''),
    ...(sparseInitializer ?? []).map(({ values }) => values?.name ?? ''),
    ...nodes.flatMap(({ output }) => output ?? []),
  ]);
  const read = [...nodes.flatMap(valuesRead), ...(output ?? []).map(({ name }) => name ?? '')];
  return read.filter((name) => name !== '' && !inside.has(name));
}
