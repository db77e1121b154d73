import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { inspectModel } from '@inferql/converter/inspect/inspect';
import { runOne } from '@inferql/converter/inspect/probe-onnx';
import { isKerasFile, storeKerasModel } from '@inferql/converter/keras/keras-file';
import { localRunner } from '@inferql/converter/model-process/local-runner';
import { type PreparedModel, prepareModel } from '@inferql/converter/prepared-model';
import type { Exported, FrameworkModel } from './framework.ts';
import { peakMegabytes, resetPeak } from './peak-memory.ts';
import type { Measured, Refused } from './rows.ts';

/** Long enough for a figure of two digits, short enough for hundreds of models. */
const RATE_CPU_MS = 500;

interface Form extends Pick<FrameworkModel, 'normalization'> {
  exported: Exported;
  /** The exported file is in its folder `exported`. */
  folder: string;
  /** uint8, height x width x 3 each. */
  images: Uint8Array[];
  /** The framework's probabilities per image. */
  answers: number[][];
  /** What other forms of the same model gave, by the file that the engine ran: several forms become the same file. */
  compared: Map<string, Compared>;
}

export type Compared = Refused | Pick<Measured, 'engine' | 'difference' | 'agreeing' | 'images' | 'perSecond'>;

/** Converts an exported model as `models add` does, and runs it on the engine that a worker chooses. */
export async function measureForm(form: Form): Promise<Measured | Refused> {
  const { exported, folder, normalization } = form;
  if ('error' in exported) return { refused: `the exporter fails: ${exported.error}` };
  try {
    const megabytes = folderMegabytes(join(folder, 'exported'));
    resetPeak();
    const start = process.cpuUsage();
    let file = join(folder, 'exported', exported.file);
    if (isKerasFile(file)) {
      const modelDir = join(folder, 'read');
      mkdirSync(modelDir);
      await storeKerasModel(file, modelDir);
      file = join(modelDir, 'model.json');
    }
    const modelDir = dirname(file);
    const found = await inspectModel(file, {}, { labels: undefined, images: [], scratch: folder, runner: localRunner });
    const labels = Array.from(form.answers[0] ?? [], (_, i) => `class ${i}`);
    writeFileSync(join(modelDir, 'labels.json'), JSON.stringify(labels));
    const spec = {
      source: { type: 'folder', model: basename(file), labels: 'labels.json' },
      format: found.format,
      input: { ...found.input, normalization },
      output: { activation: found.activation },
    };
    writeFileSync(join(modelDir, 'model.json5'), JSON.stringify(spec));
    const model = await prepareModel({ modelDir, stateDir: join(folder, 'state') });
    const seconds = round(cpuMsSince(start) / 1_000);
    const peak = peakMegabytes();
    if (model.onnxPath === undefined) return { refused: model.onnxUnavailable ?? 'no ONNX file' };
    const key = await digest(model);
    const compared = form.compared.get(key) ?? (await compare(model, model.onnxPath, form));
    form.compared.set(key, compared);
    if ('refused' in compared) return compared;
    return {
      ...compared,
      seconds,
      megabytes,
      ...(peak === undefined ? {} : { peakMegabytes: peak }),
      isGuessRight: found.input.normalization === normalization,
    };
  } catch (error) {
    return { refused: (error as Error).message.slice(0, 400) };
  }
}

async function compare({ spec }: PreparedModel, onnxPath: string, { images, answers }: Form): Promise<Compared> {
  // One thread: images per second of CPU time then do not depend on what else the machine does.
  const session = await localRunner.openOnnx(onnxPath, { threads: 1, input: spec.input });
  try {
    let difference = 0;
    let agreeing = 0;
    for (const [i, image] of images.entries()) {
      const found = [...(await runOne(session, image, spec))];
      const expected = answers[i] ?? [];
      if (found.length !== expected.length) return { refused: `answers with ${found.length} numbers` };
      for (const [k, value] of found.entries()) difference = Math.max(difference, Math.abs(value - (expected[k] ?? 0)));
      if (argmax(found) === argmax(expected)) agreeing++;
      if (!found.every(Number.isFinite)) return { refused: 'answers with NaN' };
    }
    const start = process.cpuUsage();
    let runs = 0;
    let cpuMs = 0;
    while (cpuMs < RATE_CPU_MS) {
      await runOne(session, images[runs++ % images.length] ?? new Uint8Array(), spec);
      cpuMs = cpuMsSince(start);
    }
    const perSecond = round((runs / cpuMs) * 1_000);
    return { engine: 'onnxruntime', difference: round(difference), agreeing, images: images.length, perSecond };
  } finally {
    await session.release();
  }
}

/** Of all that the engine's answers depend on. */
async function digest({ onnxPath, spec }: PreparedModel): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([spec.input, spec.output]));
  if (onnxPath !== undefined) {
    // Weights may be in files next to it.
    for (const name of readdirSync(dirname(onnxPath)).sort()) {
      if (name.startsWith(basename(onnxPath)))
        await pipeline(createReadStream(join(dirname(onnxPath), name)), hash, { end: false });
    }
  }
  return hash.digest('hex');
}

function folderMegabytes(folder: string): number {
  const bytes = readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce((sum, name) => {
    const stat = statSync(join(folder, name));
    return stat.isFile() ? sum + stat.size : sum;
  }, 0);
  return round(bytes / 1_000_000);
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

/** To three digits. */
function round(value: number): number {
  return Number(value.toPrecision(3));
}

function argmax(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
