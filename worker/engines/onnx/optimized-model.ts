import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isIntact } from '@inferql/converter/files/folder-digests';
import { stageFolder } from '@inferql/converter/files/staging';
import { startDeadline } from '@inferql/converter/model-process/deadline';
import type { OnnxFile } from './create-session.ts';
import type { Optimization } from './optimize-main.ts';

const OPTIMIZED_NAME = 'model.onnx';

/**
 * The model as onnxruntime runs it on this machine, written next to the ONNX file on first use (takes a second or two), and again if it was
 * damaged; the ONNX file itself if that is not possible, for example in a read-only folder, or takes half of the time for loading.
 */
export async function findOnnxFile(onnxPath: string, limitMs: number): Promise<OnnxFile> {
  const dir = `${onnxPath}.${identifyMachine()}`;
  const optimized = { path: join(dir, OPTIMIZED_NAME), isOptimized: true };
  if (await isIntact(dir)) return optimized;
  try {
    await stageFolder(dir, (folder) =>
      optimize({ onnxPath, optimizedPath: join(folder, OPTIMIZED_NAME) }, limitMs / 2),
    );
    return optimized;
  } catch (error) {
    // The worker logs an engine's output at level debug.
    console.error(`the model is not optimized for this machine: ${(error as Error).message}`);
    return { path: onnxPath, isOptimized: false };
  }
}

/** @throws Error if the process fails or takes too long */
async function optimize(optimization: Optimization, limitMs: number): Promise<void> {
  const script = fileURLToPath(new URL('./optimize-main.js', import.meta.url));
  const ending = new AbortController();
  const deadline = startDeadline(limitMs, () => ending.abort(new Error(`it took longer than ${limitMs} ms`)));
  const options = { signal: ending.signal, killSignal: 'SIGKILL' } as const;
  try {
    await promisify(execFile)(process.execPath, [script, JSON.stringify(optimization)], options);
  } catch (error) {
    ending.signal.throwIfAborted();
    throw error;
  } finally {
    deadline.clear();
  }
}

/** The layout of weights depends on the processor's instructions, and the file format on the library's version. */
function identifyMachine(): string {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return createHash('sha256')
    .update(JSON.stringify([version, process.platform, process.arch, describeProcessor()]))
    .digest('hex')
    .slice(0, 12);
}

function describeProcessor(): string {
  try {
    return /^(flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))![0];
  } catch {
    return cpus()[0]?.model ?? '';
  }
}
