import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isIntact, sealFolder } from '@inferql/converter/files/folder-digests';
import type { OnnxFile } from './create-session.ts';
import type { Optimization } from './optimize-main.ts';

const OPTIMIZED_NAME = 'model.onnx';

/**
 * The model as onnxruntime runs it on this machine, written next to the ONNX file on first use (takes a second or two), and again if it was
 * damaged; the ONNX file itself if that is not possible, for example in a read-only folder.
 */
export async function findOnnxFile(onnxPath: string): Promise<OnnxFile> {
  const dir = `${onnxPath}.${identifyMachine()}`;
  const optimized = { path: join(dir, OPTIMIZED_NAME), isOptimized: true };
  // In this order: a folder that another worker completes after the look at it is not damaged.
  if (existsSync(dir)) {
    if (await isIntact(dir)) return optimized;
    await removeOnnxFile(optimized);
  }
  // Several workers may start at once, and any may be killed: a folder with its final name is complete.
  const unfinished = nameAside(dir);
  try {
    await mkdir(unfinished);
    const script = fileURLToPath(new URL('./optimize-main.js', import.meta.url));
    const optimization: Optimization = { onnxPath, optimizedPath: join(unfinished, OPTIMIZED_NAME) };
    await promisify(execFile)(process.execPath, [script, JSON.stringify(optimization)]);
    await sealFolder(unfinished);
    await rename(unfinished, dir).catch((error) => {
      // Another worker was first.
      if (!existsSync(optimized.path)) throw error;
    });
    return optimized;
  } catch (error) {
    // The worker logs an engine's output at level debug.
    console.error(`the model is not optimized for this machine: ${(error as Error).message}`);
    return { path: onnxPath, isOptimized: false };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Removes an unusable folder; the next start writes it again. */
export async function removeOnnxFile({ path }: OnnxFile): Promise<void> {
  const dir = dirname(path);
  const unusable = nameAside(dir);
  // Renamed in one step: half a folder under the final name would block the next one.
  await rename(dir, unusable).catch(() => undefined);
  await rm(unusable, { recursive: true, force: true });
}

function nameAside(dir: string): string {
  return `${dir}.${randomBytes(4).toString('hex')}`;
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
