/**
 * Writes a model as onnxruntime runs it on this machine, in a process of its own, which gives back all memory that this takes. Sessions
 * map that file instead of each building its own optimised copy of the weights.
 */
import { InferenceSession } from 'onnxruntime-node';

/** The one argument, as JSON. */
export interface Optimization {
  onnxPath: string;
  optimizedPath: string;
}

const { onnxPath, optimizedPath } = JSON.parse(process.argv[2]!) as Optimization;
await InferenceSession.create(onnxPath, {
  intraOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  optimizedModelFilePath: optimizedPath,
  // It warns that the file is for this machine alone.
  logSeverityLevel: 3,
  extra: { session: { save_model_format: 'ORT' } },
});
