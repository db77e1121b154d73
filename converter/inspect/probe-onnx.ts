import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import ort from 'onnxruntime-node';
import { ModelError } from '../errors.ts';
import { writeWrapped } from '../onnx-file/write-wrapped.ts';
import { readSample } from '../sample-images.ts';
import type { ModelSpec } from '../spec.ts';

/** What an ONNX file answers when it is run, before any activation is put behind it. */
export interface Probe {
  classCount: number;
  /** A row of scores per image. */
  rows: Float32Array[];
}

/**
 * Runs an ONNX file on a few images, to learn what it does not say.
 * @param scratch a folder that may be written to
 * @throws ModelError SOURCE_INVALID if it does not run
 */
export async function probeOnnx(file: string, spec: ModelSpec, images: string[], scratch: string): Promise<Probe> {
  const folder = path.join(scratch, 'probe');
  await mkdir(folder, { recursive: true });
  try {
    // Answers as they come.
    const asIs = { ...spec, output: { ...spec.output, activation: 'softmax' as const } };
    await writeWrapped(file, asIs, {}, folder);
    const session = await ort.InferenceSession.create(path.join(folder, 'model.onnx'), { logSeverityLevel: 3 });
    try {
      const rows: Float32Array[] = [];
      for (const pixels of await pixelsOf(images, spec)) rows.push(await runOne(session, pixels, spec));
      return { classCount: rows[0]?.length ?? 0, rows };
    } finally {
      await session.release();
    }
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('SOURCE_INVALID', `onnxruntime does not run it: ${(cause as Error).message}`, { cause });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Samples, or without any an image of noise. */
async function pixelsOf(images: string[], { input }: ModelSpec): Promise<Uint8Array[]> {
  if (images.length > 0) return Promise.all(images.map((image) => readSample(image, input)));
  const { width, height, channels } = input;
  return [Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 7919) % 256)];
}

/** Runs one image through a model that `wrapOnnxFile` wrote, also if it takes more at once. Without labels there are no numbers. */
export async function runOne(
  session: ort.InferenceSession,
  pixels: Uint8Array,
  { input }: Pick<ModelSpec, 'input'>,
): Promise<Float32Array> {
  const [port] = session.inputMetadata;
  const size = port?.isTensor ? port.shape[0] : undefined;
  const batch = typeof size === 'number' && size > 0 ? size : 1;
  const images = new Uint8Array(batch * pixels.length);
  images.set(pixels);
  const image = new ort.Tensor('uint8', images, [batch, input.height, input.width, input.channels]);
  const hasLabels = session.outputNames.includes('probabilities');
  const { probabilities } = await session.run({ image }, hasLabels ? ['probabilities'] : session.outputNames);
  const values = (probabilities?.data ?? new Float32Array()) as Float32Array;
  return values.slice(0, values.length / batch);
}

const TOLERANCE = 1e-3;

/** What rows of numbers look like; undefined if they can be several things. */
export function activationOfRows(rows: readonly Float32Array[]): 'softmax' | 'sigmoid' | 'logits' | undefined {
  const values = rows.flatMap((row) => [...row]);
  if (values.some((value) => value < -TOLERANCE || value > 1 + TOLERANCE)) return 'logits';
  const isOne = (row: Float32Array) => Math.abs(row.reduce((a, b) => a + b, 0) - 1) < TOLERANCE * 5;
  if (rows.every((row) => row.length > 1 && isOne(row))) return 'softmax';
  return undefined;
}
