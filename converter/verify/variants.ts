import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openTrial, type Trial, type TrialContext } from '../commands/trial.ts';
import { writeArtifacts } from '../model-files.ts';
import type { PreparedModel } from '../prepared-model.ts';
import type { InputSpec } from '../spec/input-spec.ts';

export interface Variants {
  /**
   * Runs the model on pixels, normalized as `input` says.
   * @throws ModelError SPEC_INVALID if the model does not take floats and so cannot be normalized
   */
  run(pixels: Uint8Array, input: InputSpec): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * A model with any normalization. It is converted again for each one, into a temporary folder; only the last one stays loaded.
 * @param context its `print` gets what a trial has to say, once
 */
export function createVariants(model: PreparedModel, { print, runner }: TrialContext): Variants {
  let folder: string | undefined;
  let count = 0;
  let loaded: { key: string; trial: Trial } | undefined;
  let isFirst = true;

  async function prepare(input: InputSpec): Promise<PreparedModel> {
    const isServed = keyOf(input) === keyOf(model.spec.input);
    if (isServed || model.modulePath !== undefined) return model;
    const spec = { ...model.spec, input, precision: 'float32' as const };
    if (model.onnxPath === undefined) return { ...model, spec };
    folder ??= await mkdtemp(path.join(os.tmpdir(), 'inferql-verify-'));
    const target = path.join(folder, `${count++}`);
    await mkdir(target);
    const { onnxPath } = await writeArtifacts(target, spec, model.sourceFolder, model, undefined);
    return { ...model, spec, onnxPath: onnxPath && path.join(target, onnxPath) };
  }

  async function unload(): Promise<void> {
    const last = loaded;
    loaded = undefined;
    await last?.trial.close();
    if (folder === undefined) return;
    await rm(folder, { recursive: true, force: true });
    folder = undefined;
  }

  return {
    async run(pixels, input) {
      const key = keyOf(input);
      if (loaded?.key !== key) {
        await unload();
        const context = { runner, print: isFirst ? print : () => undefined };
        isFirst = false;
        loaded = { key, trial: await openTrial(await prepare(input), context) };
      }
      return (await loaded.trial.run(pixels)).probabilities;
    },
    close: unload,
  };
}

const keyOf = ({ normalization }: InputSpec): string => JSON.stringify(normalization);
