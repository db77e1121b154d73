/** The files of a prepared model. `prepared-model.ts` imports this only when it makes them: a start whose models are prepared needs no converter. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ModelError, UnsupportedOpError } from './errors.ts';
import { wayOut } from './export-advice.ts';
import { convertToGraph, requireScores } from './onnx-writer/convert-model.ts';
import { writeModel } from './onnx-writer/graph/encode-onnx.ts';
import type { Calibration } from './onnx-writer/quantize/calibration-file.ts';
import { writeWrapped } from './onnx-writer/wrap/write-wrapped.ts';
import type { PreparedModel, PreparedStamp } from './prepared-model.ts';
import type { ModelSpec } from './spec/spec.ts';
import { mayRunOnTfjs } from './tfjs/keras-models-on-tfjs.ts';
import { readModelJson } from './tfjs/manifest.ts';
import { readWeights } from './tfjs/weights.ts';

/**
 * Converts a source, or wraps an ONNX file, and writes what belongs to it into a folder.
 * @param sourceFolder holds the files that the spec names
 * @returns file names in that folder
 * @throws ModelError SOURCE_INVALID, SPEC_INVALID
 */
export async function writeArtifacts(
  staging: string,
  spec: ModelSpec,
  sourceFolder: string,
  { labels, outputs }: Pick<PreparedModel, 'labels' | 'outputs'>,
  calibration: Calibration | undefined,
): Promise<PreparedStamp> {
  const file = path.join(sourceFolder, spec.source.model);
  if (spec.format === 'module') {
    const unavailable = 'class activation maps need a model that the converter wrote';
    return { labels, classCount: labels.length, cam: { unavailable } };
  }
  if (spec.format === 'onnx') {
    if (spec.precision === 'int8') throw new ModelError('SPEC_INVALID', 'precision: an ONNX file is served as it is');
    const options = { labelCount: labels.length, outputs };
    const classCount = (await writeWrapped(file, spec, options, staging)) ?? labels.length;
    const unavailable = 'class activation maps need a model that the converter wrote';
    return { labels, classCount, onnxPath: 'model.onnx', cam: { unavailable } };
  }
  const output = { ...spec.output, labelCount: labels.length, outputs };
  const modelJson = await readModelJson(file);
  const weights = await readWeights(modelJson, path.dirname(file));
  try {
    const { graph, classCount, cam, sizes } = convertToGraph(modelJson, weights, spec.input, output, calibration);
    if (labels.length > 0) requireScores('output.name', sizes);
    await writeModel(graph, 'model', staging);
    if ('unavailable' in cam) return { labels, classCount, onnxPath: 'model.onnx', cam };
    const { kernel, ...head } = cam;
    await writeFile(path.join(staging, 'cam.bin'), kernel);
    return { labels, classCount, onnxPath: 'model.onnx', cam: { ...head, kernelPath: 'cam.bin' } };
  } catch (error) {
    if (!(error instanceof UnsupportedOpError)) throw error;
    if (!mayRunOnTfjs(modelJson))
      throw new ModelError('SOURCE_INVALID', `${error.message}. ${wayOut('tfjs-layers', error.message)}`, {
        cause: error,
      });
    if (calibration) throw new ModelError('SPEC_INVALID', `precision: int8 is not possible: ${error.message}`);
    const cam = { unavailable: 'class activation maps need a model that the converter covers' };
    return { labels, classCount: labels.length, onnxUnavailable: error.message, cam };
  }
}
