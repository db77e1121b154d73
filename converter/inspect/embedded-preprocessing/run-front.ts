import ort from 'onnxruntime-node';
import {
  expectedRange,
  type ImageRange,
  keepsValues,
  normalizationOfRange,
  type Response,
  type Responses,
} from '../../onnx-reader/expected-values.ts';
import type { ModelFront } from '../../onnx-reader/model-front.ts';
import { elementCount } from '../../onnx-writer/graph/graph.ts';
import { FRONT_INPUT, FRONT_OUTPUT } from './front-ports.ts';
import {
  type FrontReading,
  inRange,
  joinReadings,
  LEARNED,
  type Run,
  readColors,
  readStandardization,
} from './front-readings.ts';
import { type TestImage, testImages } from './test-images.ts';

/** The images of a model. */
export interface FrontInput {
  width: number;
  height: number;
  channels: number;
  layout: 'nchw' | 'nhwc';
  /** As the model takes them. */
  dims: readonly number[];
}

/** More than these are not looked at. */
const MAX_VALUES = 20_000;
const MAX_ENDS = 8;
/** Of all images of a fixed batch. Each is run about twenty times. */
const MAX_INPUT_VALUES = 32 * 1024 * 1024;

/**
 * Runs what a model does before its first learned operator on images whose answers show what it is.
 * @param bytes the front as a separate model
 * @returns undefined if it does not run
 */
export async function probeFront(
  bytes: Uint8Array,
  front: ModelFront,
  input: FrontInput,
): Promise<FrontReading | undefined> {
  if (front.ends.length > MAX_ENDS || elementCount(input.dims) > MAX_INPUT_VALUES) return undefined;
  const options = { logSeverityLevel: 4, intraOpNumThreads: 1 } as const;
  const session = await ort.InferenceSession.create(bytes, options).catch(() => undefined);
  if (!session) return undefined;
  try {
    const readings: FrontReading[] = [];
    for (const i of front.ends.keys()) {
      const run = (image: TestImage) => runFront(session, `${FRONT_OUTPUT}${i}`, input, image);
      readings.push(await readEnd(run, front, input));
    }
    return joinReadings(readings);
  } catch {
    return undefined;
  } finally {
    await session.release();
  }
}

async function runFront(
  session: ort.InferenceSession,
  output: string,
  { width, height, channels, layout, dims }: FrontInput,
  image: TestImage,
): Promise<Float32Array> {
  const pixels = width * height;
  const data = new Float32Array(elementCount(dims));
  const [perPlace, perChannel] = layout === 'nchw' ? [1, pixels] : [channels, 1];
  for (let place = 0; place < pixels; place++) {
    for (let channel = 0; channel < channels; channel++) {
      data[place * perPlace + channel * perChannel] = image(place, channel);
    }
  }
  // A fixed batch has the same image several times.
  for (let at = pixels * channels; at < data.length; at += pixels * channels) data.copyWithin(at, 0, pixels * channels);
  const answer = await session.run({ [FRONT_INPUT]: new ort.Tensor('float32', data, dims) }, [output]);
  return answer[output]?.data as Float32Array;
}

async function readEnd(run: Run, front: ModelFront, { width, height, channels }: FrontInput): Promise<FrontReading> {
  const shown = testImages(width * height);
  const see = (image: TestImage) => run(inRange('bytes', image));
  const [noise, black, white] = [await see(shown.noise), await see(shown.black), await see(shown.white)];
  const places = changingPlaces(noise, black, white);
  if (places.length === 0) return LEARNED;
  const pick = (values: Float32Array) => places.map((place) => values[place] ?? Number.NaN);
  const respond = async (range: Exclude<ImageRange, 'bytes'>): Promise<Response> => ({
    black: pick(await run(inRange(range, shown.black))),
    gray: pick(await run(inRange(range, shown.gray))),
    white: pick(await run(inRange(range, shown.white))),
  });
  const isColor = channels === 3;
  const responses: Responses = {
    bytes: { black: pick(black), gray: pick(await see(shown.gray)), white: pick(white) },
    signed: await respond('signed'),
    unit: await respond('unit'),
    imagenet: isColor ? await respond('imagenet') : { black: [], gray: [], white: [] },
  };
  const range = expectedRange(responses);
  const keeps = keepsValues(responses);
  const known = range ?? 'unit';
  const colors =
    isColor && (keeps || range) ? await readColors(run, known, shown, responses[known], places) : undefined;
  if (range !== undefined) {
    const normalization = normalizationOfRange(range, colors?.order);
    const isOrderOpen = colors?.isExchanged === true && colors.order === undefined;
    const exchange = colors?.isExchanged ? ', exchanges red and blue' : '';
    const does = `makes ${describeValues(responses[range])} of ${RANGE_NAMES[range]}${exchange}`;
    return { shows: 'values', normalization, isOrderOpen, does };
  }
  if (keeps) return { shows: 'nothing', keepsValues: true, isGray: colors?.isGray === true, order: colors?.order };
  const standardization = front.summarizes ? await readStandardization(run, shown, pick) : undefined;
  if (standardization) return standardization;
  if (front.weighs) return LEARNED;
  const [bytes, unit] = [describeValues(responses.bytes), describeValues(responses.unit)];
  return { shows: 'unknown', does: `makes ${bytes} of 0..255 and ${unit} of 0..1` };
}

const RANGE_NAMES = { bytes: '0..255', signed: '-1..1', unit: '0..1', imagenet: "ImageNet's values" } as const;

/** Such as `-2.1..2.6`. */
function describeValues({ black, white }: Response): string {
  const values = [...black, ...white].filter(Number.isFinite);
  const round = (value: number) => String(Number(value.toPrecision(3)));
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  return values.length === 0 ? 'other values' : `${round(low)}..${round(high)}`;
}

/** Of the values that depend on the image; padding does not. At a distance that meets all channels and columns. */
function changingPlaces(noise: Float32Array, black: Float32Array, white: Float32Array): number[] {
  let step = Math.max(1, Math.ceil(noise.length / MAX_VALUES));
  while (step > 1 && (step % 2 === 0 || step % 3 === 0)) step++;
  const places: number[] = [];
  for (let place = 0; place < noise.length; place += step) {
    if (noise[place] !== black[place] || white[place] !== black[place]) places.push(place);
  }
  return places;
}
