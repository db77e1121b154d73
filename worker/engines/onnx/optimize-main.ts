/**
 * Writes a model as onnxruntime runs it on this machine, in a process of its own, which gives back all memory that this takes. Sessions
 * map its file of weights instead of each building its own optimised copy of them.
 */
import { closeSync, fsyncSync, openSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';

/** The one argument, as JSON. */
export interface Optimization {
  onnxPath: string;
  /** In a folder of its own. */
  optimizedPath: string;
}

/** Smaller ones stay in the model's file, of which each session has a copy. */
const SHARED_WEIGHT_BYTES = 64 * 1024;

/**
 * Weights in a file of their own, and not the one file of ORT's format: there nothing is aligned, and processors read vectors
 * across the boundaries of their cache's lines more slowly.
 */
async function optimize({ onnxPath, optimizedPath }: Optimization): Promise<void> {
  await InferenceSession.create(onnxPath, {
    intraOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    optimizedModelFilePath: optimizedPath,
    // It warns that the file is for this machine alone.
    logSeverityLevel: 3,
    extra: {
      session: {
        optimized_model_external_initializers_file_name: 'weights.bin',
        optimized_model_external_initializers_min_size_in_bytes: String(SHARED_WEIGHT_BYTES),
      },
    },
  });
  // Once the folder has its name everybody trusts what is in it, also after a crash of the machine.
  const dir = dirname(optimizedPath);
  for (const name of readdirSync(dir)) {
    const file = openSync(join(dir, name), 'r+');
    fsyncSync(file);
    closeSync(file);
  }
}

await optimize(JSON.parse(process.argv[2]!) as Optimization);
