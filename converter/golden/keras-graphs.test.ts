/** Graph models of a vision transformer, written by Keras (keras/make_graph.py), compared with Keras' answers to the same pixels. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { addModel } from '../commands/add.ts';
import { useRepository } from '../commands/test-repository.fixture.ts';
import { largestDifference } from './harness.fixture.ts';

const FILES = path.join(import.meta.dirname, 'keras');
const SIZE = 12;
/** Two images, the same in make.py. */
const PIXELS = Uint8Array.from({ length: 2 * SIZE * SIZE * 3 }, (_, i) => (i * 37 + Math.floor(i / 7) * 11) % 256);

const repository = useRepository();

test.each(['keras2-transformer', 'keras2-transformer-binary'])(
  '%s is added unchanged, answers as Keras does, and agrees with tfjs',
  async (name) => {
    const { answers } = JSON.parse(await readFile(path.join(FILES, 'keras2-transformer.json'), 'utf8')) as {
      answers: number[][];
    };
    const { onnxPath = '', spec } = await addModel(path.join(FILES, name), { name: 'own' }, repository.context);
    expect(spec).toMatchObject({ format: 'tfjs-graph', input: { width: SIZE, normalization: 'none' } });
    expect(repository.printed.join('\n')).toMatch(
      /compared with tfjs on 5 images: the largest difference is \d\.\de-[5-9]/,
    );
    const session = await ort.InferenceSession.create(onnxPath, { intraOpNumThreads: 1, logSeverityLevel: 3 });
    const { probabilities } = await session.run({ image: new ort.Tensor('uint8', PIXELS, [2, SIZE, SIZE, 3]) });
    await session.release();
    expect(largestDifference(probabilities?.data as Float32Array, answers.flat())).toBeLessThan(1e-5);
  },
);
