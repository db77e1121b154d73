/** What converting a model needs and gives. All of it can be sent to a process. */
import type { Calibration } from '../onnx-writer/quantize/calibration-file.ts';
import type { PreparedStamp } from '../prepared-model.ts';
import type { PreparedOutput } from '../spec/output-spec.ts';
import type { ModelSpec } from '../spec/spec.ts';

export interface Conversion {
  /** An empty folder, which gets the files. */
  folder: string;
  spec: ModelSpec;
  /** Holds the files that the spec names. */
  sourceFolder: string;
  labels: string[];
  outputs: PreparedOutput[];
  /** For an int8 version. */
  calibration: Calibration | undefined;
}

/**
 * Writes a model's files into the folder.
 * @returns what was made, with names of files in the folder
 * @throws ModelError SOURCE_INVALID, SPEC_INVALID; CANCELED if `signal` was aborted
 */
export type Convert = (conversion: Conversion, signal?: AbortSignal) => Promise<PreparedStamp>;

/** Converts in this process: nothing else runs in it meanwhile, for 2 s per 100 MB and longer. */
export const convertHere: Convert = async ({ folder, spec, sourceFolder, labels, outputs, calibration }) => {
  // A start whose models are prepared needs no converter.
  const { writeArtifacts } = await import('../model-files.ts');
  return writeArtifacts(folder, spec, sourceFolder, { labels, outputs }, calibration);
};
