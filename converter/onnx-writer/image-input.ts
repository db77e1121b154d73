/** The image in front of a converted model: its normalization, its shape, and whether it may be what the model takes. */
import { ModelError } from '../errors.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import { normalizationOf } from '../spec/normalization.ts';
import { parseGraph } from '../tfjs/graphdef.ts';
import { isGraphModel, type ModelJson, signatureOf } from '../tfjs/manifest.ts';
import { type LayersModel, parseTopology } from '../tfjs/topology.ts';
import { binary } from './emit/binary.ts';
import { toFloat } from './emit/named-activations.ts';
import { BATCH, floatTensor, int64Tensor } from './graph/graph.ts';
import type { GraphBuilder, Value } from './graph/graph-builder.ts';
import { isFloat } from './keras-layers/config.ts';

/**
 * The image in the shape that the model takes: some omit the single channel of gray images, or take all pixels in a row.
 * @throws ModelError SPEC_INVALID if the model has another size than the spec
 */
export function shapeImage(builder: GraphBuilder, image: Value, topology: LayersModel, input: InputSpec): Value {
  const layer = topology.layers.find(({ name }) => name === topology.inputs[0]?.layer);
  const shape = layer?.config.batch_input_shape ?? layer?.config.batch_shape;
  if (!Array.isArray(shape)) return image;
  const said = (shape.slice(1) as (number | null)[]).map((size) => size ?? undefined);
  const { height, width, channels } = input;
  const sizes = { 3: [height, width, channels], 2: [height, width], 1: [height * width * channels] }[said.length];
  const hasChannel = said.length !== 2 || channels === 1;
  if (sizes && hasChannel && said.every((size, i) => size === undefined || size === sizes[i])) {
    return sizes.length === 3 ? image : builder.reshape(image, [BATCH, ...sizes]);
  }
  const found = `the spec says ${width}, ${height} and ${channels}`;
  const [rows, columns, depth = 1] = said;
  throw new ModelError(
    'SPEC_INVALID',
    said.length === 1
      ? `input: the model takes ${rows} numbers in a row: width x height x channels must be that many, ${found}`
      : `input: the model takes images of width ${columns}, height ${rows} and ${depth} channels, ${found}`,
  );
}

/** The type of a model's input if it is one of whole numbers, such as uint8. */
export function findWholeType(modelJson: ModelJson): string | undefined {
  if (isGraphModel(modelJson)) {
    const { nodes } = parseGraph(modelJson.modelTopology, signatureOf(modelJson));
    const type = [...nodes.values()].find(({ op }) => op === 'Placeholder')?.attributes.type('dtype') ?? '';
    return /^DT_U?INT/.test(type) ? type.slice(3).toLowerCase() : undefined;
  }
  const { layers, inputs } = parseTopology(modelJson.modelTopology);
  const { dtype } = layers.find(({ name }) => name === inputs[0]?.layer)?.config ?? {};
  return isFloat(dtype) ? undefined : String(dtype);
}

/** @throws ModelError SPEC_INVALID if a model of whole numbers would get others */
export function checkWholeNumbers(modelJson: ModelJson, input: InputSpec): void {
  const type = findWholeType(modelJson);
  if (type === undefined) return;
  const { mean, scale } = normalizationOf(input);
  if (mean.every((shift) => shift === 0) && scale.every((factor) => factor === 1)) return;
  throw new ModelError('SPEC_INVALID', `input.normalization: expected none, since the model takes ${type}`);
}

/** Pixels 0..255 to what the model was trained on. */
export function normalize(builder: GraphBuilder, image: Value, input: InputSpec): Value {
  const { mean, scale, reverseChannels } = normalizationOf(input);
  const perChannel = (values: number[]) => builder.constant(floatTensor([1, 1, 1, values.length], values));
  // Transposing bytes moves a quarter of what transposing floats would.
  const first = builder.channelsFirst(image);
  let value = toFloat(builder, first);
  if (mean.some((shift) => shift !== 0)) value = binary(builder, 'Sub', value, perChannel(mean));
  if (scale.some((factor) => factor !== 1)) value = binary(builder, 'Mul', value, perChannel(scale));
  if (reverseChannels) {
    const order = builder.constant(int64Tensor(mean.map((_, i) => mean.length - 1 - i)));
    value = builder.emit('Gather', [value, order], { ...value }, { axis: { int: 1 } });
  }
  return value;
}
