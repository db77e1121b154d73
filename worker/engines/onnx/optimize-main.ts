/**
 * Writes a model as onnxruntime runs it on this machine. A separate process, so that all memory for this is freed. Sessions map
 * its file of weights instead of each building an optimized copy.
 */
import { closeSync, fsyncSync, openSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { endWithParent } from '@inferql/converter/child-process/end-with-parent';
import { InferenceSession } from 'onnxruntime-node';

/** The only argument, as JSON. */
export interface Optimization {
  onnxPath: string;
  /** In a separate folder. */
  optimizedPath: string;
}

/** Smaller weights stay in the model's file, which each session copies. */
const SHARED_WEIGHT_BYTES = 64 * 1024;

/**
 * Weights in a separate file instead of the single file of ORT's format, in which nothing is aligned: processors read vectors
 * across cache lines more slowly.
 */
async function optimize({ onnxPath, optimizedPath }: Optimization): Promise<void> {
  await InferenceSession.create(onnxPath, {
    intraOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    optimizedModelFilePath: optimizedPath,
    // Suppresses the warning that the file is only for this machine.
    logSeverityLevel: 3,
    extra: {
      session: {
        optimized_model_external_initializers_file_name: 'weights.bin',
        optimized_model_external_initializers_min_size_in_bytes: String(SHARED_WEIGHT_BYTES),
      },
    },
  });
  // Once the folder has its final name, its content is trusted, even after a crash of the machine.
  const dir = dirname(optimizedPath);
  for (const name of readdirSync(dir)) {
    const file = openSync(join(dir, name), 'r+');
    fsyncSync(file);
    closeSync(file);
  }
}

endWithParent();
await optimize(JSON.parse(process.argv[2]!) as Optimization);
