/** Small ONNX classifiers as the real exporters write them (make_*.py), added as a newcomer adds them, and their answers. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { addModel } from '../../commands/add.ts';
import { useRepository } from '../../commands/test-repository.fixture.ts';
import { runOne } from '../../inspect/probe-onnx.ts';
import { localRunner } from '../../model-process/local-runner.ts';
import type { PreparedModel } from '../../prepared-model.ts';

const HERE = import.meta.dirname;
const IMAGES = 3;
const SIDE = 32;
const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];

interface Answers {
  note: string;
  flags: string[];
  spec: { input: object; output: object; batching?: object; labels?: [first: string, last: string] };
  /** Of the normalization, as `add` prints it. */
  certainty?: string;
  answers: number[][];
}

/** The bytes of image `k`, as cases.py has them. */
function pixelsOf(k: number, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => (i * (7919 + 2 * k) + 31 * k) % 251);
}

async function answersOf(model: PreparedModel): Promise<number[][]> {
  const session = await localRunner.openOnnx(model.onnxPath ?? '', { input: model.spec.input });
  const { width, height, channels } = model.spec.input;
  const rows: number[][] = [];
  for (let k = 0; k < IMAGES; k++) {
    rows.push([...(await runOne(session, pixelsOf(k, width * height * channels), model.spec))]);
  }
  await session.release();
  return rows;
}

/** Of a flag, as the command line reads it. */
const flagValue = (text = ''): string | number => (Number.isNaN(Number(text)) ? text : Number(text));

/** What the exporter's file answers without InferQL, here: with imagenet's normalization, one image at a time. */
async function plainAnswersOf(name: string): Promise<number[][]> {
  const session = await ort.InferenceSession.create(path.join(HERE, name, 'model.onnx'), {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const rows: number[][] = [];
  for (let k = 0; k < IMAGES; k++) {
    const pixels = pixelsOf(k, SIDE * SIDE * 3);
    const values = Float32Array.from({ length: pixels.length }, (_, i) => {
      const channel = Math.floor(i / (SIDE * SIDE));
      const value = pixels[(i % (SIDE * SIDE)) * 3 + channel] ?? 0;
      return (value / 255 - (MEAN[channel] ?? 0)) / (DEVIATION[channel] ?? 1);
    });
    const { output } = await session.run({ input: new ort.Tensor('float32', values, [1, 3, SIDE, SIDE]) });
    const powers = Array.from((output as ort.TypedTensor<'float32'>).data, Number).map((logit) => Math.exp(logit));
    const sum = powers.reduce((a, b) => a + b);
    rows.push(powers.map((power) => power / sum));
  }
  await session.release();
  return rows;
}

const repository = useRepository();
const rowOf = (what: string) => repository.printed.find((line) => line.startsWith(`  ${what} `));

const cases = await Promise.all(
  (await readdir(path.join(HERE, 'answers'))).sort().map(async (file) => {
    const answers: Answers = JSON.parse(await readFile(path.join(HERE, 'answers', file), 'utf8'));
    return [path.basename(file, '.json'), answers.note, answers] as const;
  }),
);

/** Of arithmetic in 16 or 8 bits. */
const TOLERANCES: Record<string, number> = {
  'torch-half': 5e-3,
  'onnxruntime-int8': 2e-2,
  'onnxruntime-qoperator': 2e-2,
  'tf2onnx-tflite-int8': 2e-2,
  'tf2onnx-tflite-uint8': 2e-2,
};

/** Processors without 8-bit dot products saturate sums in 16 bits, so the recorded answers hold only for one with them. */
const DEPENDS_ON_PROCESSOR = new Set(['onnxruntime-dynamic']);

describe('an ONNX file of a real exporter', () => {
  test.each(cases)('%s: %s', async (name, _, { flags, spec, certainty, answers }) => {
    const options = Object.fromEntries(
      flags.flatMap((flag, i) => (flag.startsWith('--') ? [[flag.slice(2), flagValue(flags[i + 1])]] : [])),
    );
    const model = await addModel(path.join(HERE, name), options, repository.context);
    expect(model.spec.input).toMatchObject(spec.input);
    expect(model.spec.output).toMatchObject(spec.output);
    expect(model.spec.batching).toMatchObject(spec.batching ?? { maxBatchSize: 8 });
    if (certainty) expect(rowOf('normalization')).toContain(`  ${certainty}  `);
    if (spec.labels) expect([model.labels[0], model.labels.at(-1)]).toEqual(spec.labels);
    const expected = DEPENDS_ON_PROCESSOR.has(name) ? await plainAnswersOf(name) : answers;
    let largest = 0;
    for (const [k, row] of (await answersOf(model)).entries()) {
      expect(row.length).toBe(expected[k]?.length);
      for (const [i, value] of row.entries()) largest = Math.max(largest, Math.abs(value - (expected[k]?.[i] ?? 9)));
    }
    expect(largest).toBeLessThan(TOLERANCES[name] ?? 1e-4);
  });

  test('that changes its input in a way that shows no usual values is refused with the flags', async () => {
    const adding = addModel(path.join(HERE, 'torch-power'), {}, repository.context);
    await expect(adding).rejects.toThrow(
      /--normalization: the model itself makes \S+ of 0\.\.255 and -3\.\.37 of 0\.\.1, .*: pass none .*--mean and --std/,
    );
  });

  // What its branches do with an image is not followed.
  test.each(['torch-branch', 'torch-branch-cond'])('whose branches depend on the image asks: %s', async (name) => {
    const adding = addModel(path.join(HERE, name), {}, repository.context);
    await expect(adding).rejects.toThrow(/^--normalization: the model itself .* which does not show the values/);
  });

  test('that exchanges red and blue, and does not show which it takes first, is added with a guess and the flags', async () => {
    const model = await addModel(path.join(HERE, 'torch-reordered-open'), {}, repository.context);
    expect(model.spec.input.normalization).toBe('none');
    expect(rowOf('normalization')).toMatch(/ guessed .* exchanges red and blue.*--scale 1 --order bgr$/);
  });

  test('that does not take images is refused with a message', async () => {
    const adding = addModel(path.join(HERE, 'sklearn'), {}, repository.context);
    await expect(adding).rejects.toThrow(/takes \? x 8 as its input X, which is not an image .*scikit-learn/);
  });
});

test("scikit-learn's rows of pixels are refused with the flags, and its lists with the option, that serve them", async () => {
  const folder = path.join(HERE, 'refused/sklearn-zipmap');
  const adding = addModel(folder, {}, repository.context);
  await expect(adding).rejects.toThrow(/if these are the 64 values of an image in a row, pass its size as --width/);
  const sized = addModel(folder, { width: 8, height: 8 }, repository.context);
  await expect(sized).rejects.toThrow(/output_probability is a list or a map.*options={'zipmap': False}/);
});

const refused: Record<string, string> = JSON.parse(await readFile(path.join(HERE, 'refused/sentences.json'), 'utf8'));

describe('an ONNX file of a real exporter that is not a classifier of images is refused, with what to do', () => {
  test.each(Object.entries(refused))('%s: %s', async (name, sentence) => {
    await expect(addModel(path.join(HERE, 'refused', name), {}, repository.context)).rejects.toThrow(sentence);
    expect(repository.printed.join('\n')).not.toContain('added');
  });

  test.each([
    ['metric-learning', 'output', '16'],
    ['vision-tower', 'image_embeds', undefined],
  ])('and the way that the refusal of %s names works', async (name, output, detail) => {
    const outputs = [{ from: output, type: 'embedding' as const, detail }];
    const model = await addModel(path.join(HERE, 'refused', name), { outputs }, repository.context);
    expect(model.labels).toEqual([]);
    expect(model.outputs).toEqual([{ type: 'embedding', name: output, size: 16, from: output }]);
    expect(repository.printed.join('\n')).toMatch(/: embedding, 16 numbers of length /);
  });
});
