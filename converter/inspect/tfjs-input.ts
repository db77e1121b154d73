/** The images that a tfjs model takes: what the model says of them, and what is said elsewhere. */
import { ModelError } from '../errors.ts';
import { wayOut } from '../export-advice.ts';
import { parseGraph } from '../tfjs/graphdef.ts';
import { isGraphModel, type ModelJson, signatureOf } from '../tfjs/manifest.ts';
import { parseTopology } from '../tfjs/topology.ts';
import type { Companions } from './companion-files.ts';
import type { Findings } from './findings.ts';
import type { Overrides } from './overrides.ts';
import { DEFAULT_SIDE } from './resizing.ts';

/** Height, width and channels. */
type InputSizes = (number | undefined)[];

/** Undefined for what the model leaves open. */
export function findInputSizes(modelJson: ModelJson): InputSizes {
  if (isGraphModel(modelJson)) {
    const graph = parseGraph(modelJson.modelTopology, signatureOf(modelJson));
    const shapes = [...graph.nodes.values()]
      .filter((node) => node.op === 'Placeholder')
      .map((node) => node.attributes.shape('shape'));
    return sizesOf(shapes.find((shape) => shape && shape.length >= 2) ?? []);
  }
  const topology = parseTopology(modelJson.modelTopology);
  const layer = topology.layers.find(({ name }) => name === topology.inputs[0]?.layer);
  const shape = layer?.config.batch_input_shape ?? layer?.config.batch_shape;
  return Array.isArray(shape) ? sizesOf(shape) : [];
}

/** Height, width and channels of a shape that begins with the batch. */
function sizesOf(shape: readonly unknown[]): InputSizes {
  const known = (size: unknown): number | undefined => (typeof size === 'number' && size > 0 ? size : undefined);
  if (shape.length === 2) return squareOf(known(shape[1]) ?? 0);
  // Gray images without a channel dimension.
  return [...shape.slice(1), ...(shape.length === 3 ? [1] : [])].map(known);
}

/** All pixels in a row: a square gray or color image, if one fits. */
function squareOf(count: number): number[] {
  const channels = [1, 3].find((channels) => Number.isInteger(Math.sqrt(count / channels)));
  if (!channels || count < 4) return [];
  const side = Math.sqrt(count / channels);
  return [side, side, channels];
}

/** The images' size: as given on the command line, else as the model says, else as a file next to it says. */
export function findSize(
  [height, width]: InputSizes,
  overrides: Overrides,
  preprocessing: Companions['preprocessing'],
  findings: Findings,
): { width: number; height: number } {
  const size = {
    width: overrides.width ?? width ?? preprocessing?.width ?? DEFAULT_SIDE,
    height: overrides.height ?? height ?? preprocessing?.height ?? DEFAULT_SIDE,
  };
  const sizeText = `${size.width} x ${size.height}`;
  if (overrides.width !== undefined || overrides.height !== undefined)
    findings.given('size', sizeText, '--width, --height');
  else if (width !== undefined && height !== undefined) findings.read('size', sizeText, "the model's input");
  else if (preprocessing?.width !== undefined) findings.read('size', sizeText, preprocessing.from);
  else findings.guessed('size', sizeText, 'the model leaves it open: --width, --height');
  return size;
}

/** @throws ModelError SOURCE_INVALID if images do not have that many channels */
export function findChannels(
  [height, width, channels]: InputSizes,
  format: 'tfjs-layers' | 'tfjs-graph',
  overrides: Overrides,
  findings: Findings,
): number {
  const count = overrides.channels ?? channels ?? 3;
  if (count !== 1 && count !== 3 && count !== 4) {
    const isFirst = height === 1 || height === 3 || height === 4;
    const found = isFirst ? `${height} x ${width} x ${channels}, channels first` : `images with ${count} channels`;
    const way = isFirst ? `expected channels last. ${wayOut(format, '')}` : 'expected 1, 3 or 4';
    throw new ModelError('SOURCE_INVALID', `the model takes ${found}: ${way}`);
  }
  if (overrides.channels !== undefined) findings.given('channels', String(count), '--channels');
  else if (channels !== undefined) findings.read('channels', String(count), "the model's input");
  else findings.guessed('channels', String(count), 'the model leaves them open: --channels');
  return count;
}
