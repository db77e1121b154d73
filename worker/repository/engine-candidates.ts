/** Which engines can run a model, and in which order they are tried. */

import type { PreparedModel } from '@inferql/converter/prepared-model';
import { normalizationOf } from '@inferql/converter/spec/normalization';
import { POSTPROCESS_TIME_LIMIT_MS } from '@inferql/converter/spec/spec';
import { STORED_LABELS } from '@inferql/queue/contract';
import { toEngineOutput } from '../engines/declared-outputs.ts';
import type { EngineCandidate } from '../serving/servable-model.ts';

/** Engines, the fastest first; a spec may name one. `ruledOut` says why the others cannot run it. */
export function findCandidates(prepared: PreparedModel): { candidates: EngineCandidate[]; ruledOut: string[] } {
  const { spec, labels, onnxPath, onnxUnavailable, tfjsPath, modulePath, postprocessPath, cam } = prepared;
  const candidates: EngineCandidate[] = [];
  const ruledOut: string[] = [];
  const heatmap =
    'unavailable' in cam
      ? {}
      : { heatmap: { featuresOutput: cam.featuresOutput, kernelPath: cam.kernelPath, labels: STORED_LABELS } };
  const why = (engine: string, autoReason: string) => (spec.engine === engine ? 'The spec names it.' : autoReason);
  const timeLimitMs = spec.postprocessTimeLimitMs ?? POSTPROCESS_TIME_LIMIT_MS;
  const code = postprocessPath === undefined ? {} : { postprocess: { path: postprocessPath, labels, timeLimitMs } };
  const outputs = prepared.outputs.length === 0 ? {} : { outputs: prepared.outputs.map(toEngineOutput) };
  const shared = { ...code, ...outputs };
  if (modulePath !== undefined) {
    const model = { module: { path: modulePath, labels }, ...shared };
    return { candidates: [{ engine: 'module', reason: 'The spec names it.', model }], ruledOut };
  }
  if (spec.engine === 'auto' || spec.engine === 'onnxruntime') {
    if (onnxPath === undefined) ruledOut.push(`onnxruntime: ${onnxUnavailable?.replace(/\.?$/, '.')}`);
    else {
      const model = { onnx: { path: onnxPath }, ...heatmap, ...shared };
      candidates.push({ engine: 'onnxruntime', reason: why('onnxruntime', 'The fastest engine.'), model });
    }
  }
  if (tfjsPath === undefined || spec.format === 'onnx' || spec.format === 'module' || spec.precision !== 'float32')
    return { candidates, ruledOut };
  const tfjs = {
    path: tfjsPath,
    format: spec.format,
    normalization: normalizationOf(spec.input),
    activation: spec.output.activation,
    ...(spec.output.name === undefined ? {} : { outputName: spec.output.name }),
  };
  const others = [
    ['tensorflow', 'The fastest engine that is installed here and can run it.'],
    ['wasm', 'It runs everything, everywhere.'],
  ] as const;
  for (const [engine, reason] of others) {
    if (spec.engine === 'auto' || spec.engine === engine) {
      candidates.push({ engine, reason: why(engine, reason), model: { tfjs, ...heatmap, ...shared } });
    }
  }
  return { candidates, ruledOut };
}
