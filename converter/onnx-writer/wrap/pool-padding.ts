import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
type Graph = Pick<onnxProto.onnx.IGraphProto, 'node'>;
type Node = onnxProto.onnx.INodeProto;

/** What onnxruntime removes between two nodes, or exchanges with them. */
const PASSED = new Set(['Identity', 'Dropout', 'Cast', 'Transpose', 'QuantizeLinear', 'DequantizeLinear']);
/** Of them in a row; a damaged file may have a circle. */
const MAX_PASSED = 16;
/** The first opset with MaxPool's second output. */
const WITH_INDICES = 8;
/** Too small to change an answer. */
const ALMOST_ZERO = 1e-37;

/**
 * onnxruntime moves a Pad of zeros into the MaxPool that reads it, whose padding is minus infinity: another answer unless a ReLU is before it.
 * It does not if the pool says by `auto_pad` that it has no padding, or has its second output. The answer of the file is the same.
 * @param graph it is changed, and the graphs inside its nodes
 * @param opset of the file
 * @param prefix of new values' names
 */
export function keepPoolPadding(graph: Graph, opset: number, prefix: string): void {
  const producers = new Map<string, Node>();
  for (const node of graph.node ?? []) for (const output of node.output ?? []) producers.set(output, node);
  for (const [i, node] of (graph.node ?? []).entries()) {
    for (const { g, graphs } of node.attribute ?? [])
      for (const inner of [g, ...(graphs ?? [])]) if (inner) keepPoolPadding(inner, opset, `${prefix}${i}_`);
    const pad = node.opType === 'MaxPool' ? padBefore(producers, node) : undefined;
    if (pad) keepApart(pad, node, opset, `${prefix}${i}`);
  }
}

function padBefore(producers: ReadonlyMap<string, Node>, pool: Node): Node | undefined {
  let before = producers.get(pool.input?.[0] ?? '');
  for (let i = 0; i < MAX_PASSED && before && PASSED.has(before.opType ?? ''); i++) {
    before = producers.get(before.input?.[0] ?? '');
  }
  return before?.opType === 'Pad' ? before : undefined;
}

function keepApart(pad: Node, pool: Node, opset: number, name: string): void {
  const attributes = pool.attribute ?? [];
  const attributeOf = (wanted: string) => attributes.find((attribute) => attribute.name === wanted);
  const hasPadding = (attributeOf('pads')?.ints ?? []).some((size) => Number(size) !== 0);
  const isRoundedUp = Number(attributeOf('ceil_mode')?.i ?? 0) !== 0;
  if (attributeOf('auto_pad')?.s?.length && !isNotSet(attributeOf('auto_pad')?.s)) return;
  if (!hasPadding && !isRoundedUp) {
    const rest = attributes.filter((attribute) => attribute.name !== 'pads' && attribute.name !== 'auto_pad');
    pool.attribute = [
      ...rest,
      { name: 'auto_pad', type: onnx.AttributeProto.AttributeType.STRING, s: Buffer.from('VALID') },
    ];
  } else if (opset >= WITH_INDICES) {
    if ((pool.output ?? []).length < 2) pool.output = [pool.output?.[0] ?? '', name];
  } else if (!pad.attribute?.some((attribute) => attribute.name === 'value' && attribute.f)) {
    const rest = (pad.attribute ?? []).filter((attribute) => attribute.name !== 'value');
    pad.attribute = [...rest, { name: 'value', type: onnx.AttributeProto.AttributeType.FLOAT, f: ALMOST_ZERO }];
  }
}

function isNotSet(text: Uint8Array | null | undefined): boolean {
  return Buffer.from(text ?? []).toString() === 'NOTSET';
}
