/**
 * Feeds damaged image files to the decoders and to Pillow. Whatever is accepted must look as in Pillow's reading of the same file, or like the file
 * before it was damaged; everything else must be refused with a code.
 *
 * npm run bench -- fuzz-images --minutes 60 [--seed 1] [--python python3] [--seeds FOLDER] [--keep FOLDER]
 *
 * Needs Pillow. Seeds are made of a sample image, or are the files of a folder. Files with wrong answers are kept. A file during which the process
 * ends, or does not answer for a minute, is the one named `current`. The last line is the summary; the exit code is 1 if anything was wrong.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { prepareImage } from '@inferql/images/preprocess';
import { setSharpGlobals } from '@inferql/images/sharp-settings';
import { InferqlError } from '@inferql/queue/error-codes';
import sharp from 'sharp';
import { createRandom, damage } from './damage.ts';

const SIDE = 64;
const INPUT = { width: SIDE, height: SIDE, channels: 3 as const, kernel: 'linear' as const, resize: 'pillow-bilinear' };
/** Shows the middle: of an ordinary JPEG only that is decoded, but damage elsewhere counts, too. */
const CROPPED = { ...INPUT, width: 40, height: 40, shortSide: 64 };
/** Mean difference of a channel: decoders of WebP and AVIF may round differently, a lost tile or row is more. */
const TOLERANCE = 2.5;
const MAX_MS = 35_000;
/** Answered with 5xx. */
const SERVER_FAULTS = ['INTERNAL_SERVER_ERROR', 'UNAVAILABLE'];
const HANG_MS = 60_000;
const SAMPLE = 'models/samples/rocket.jpg';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '15' },
    seed: { type: 'string', default: '1' },
    python: { type: 'string', default: 'python3' },
    seeds: { type: 'string' },
    keep: { type: 'string', default: join(tmpdir(), 'inferql-fuzz-found') },
  },
});

setSharpGlobals();
// The commands of the benchmarks run in the project's folder.
const script = join('bench', 'fuzz-images', 'pillow.py');
const work = mkdtempSync(join(tmpdir(), 'inferql-fuzz-'));
mkdirSync(values.keep, { recursive: true });
const seedFolder = values.seeds ?? join(work, 'seeds');
if (!values.seeds) {
  execFileSync(values.python, [script, 'seeds', SAMPLE, seedFolder]);
  await writeFurtherSeeds(seedFolder);
}
const watch = startWatchdog();
const pillow = startPillow();
const random = createRandom(Number(values.seed));
const seeds = readdirSync(seedFolder)
  .sort()
  .map((name) => ({ name, file: readFileSync(join(seedFolder, name)) }));
const plain = new Map<string, Buffer | string>();
for (const { name, file } of seeds) plain.set(name, await decode(file));

const sizes = new Map<string, string>();
for (const { name } of seeds) {
  const theirs = await pillow.read(join(seedFolder, name));
  if (typeof theirs === 'string') throw new Error(`Pillow cannot read ${name}: ${theirs}`);
  sizes.set(name, theirs.size);
}

const counts = new Map<string, number>();
const wrong: string[] = [];
const began = performance.now();
const end = began + Number(values.minutes) * 60_000;
let tried = 0;
let slowestMs = 0;
while (performance.now() < end) {
  const seed = seeds[Math.floor(random() * seeds.length)]!;
  const { file, how } = damage(seed.file, seeds[Math.floor(random() * seeds.length)]!.file, random);
  // If the process does not survive, this is the file.
  const path = join(values.keep, 'current');
  writeFileSync(path, file);
  watch.touch();
  const started = performance.now();
  const ours = await decode(file);
  const tookMs = performance.now() - started;
  slowestMs = Math.max(slowestMs, tookMs);
  const theirs = await pillow.read(path);
  const isJpeg = /\.(jpg|mpo)$/.test(seed.name);
  const cropped = isJpeg ? await decode(file, CROPPED) : ours;
  const verdict = judge({
    ours,
    cropped,
    theirs,
    undamaged: plain.get(seed.name)!,
    size: sizes.get(seed.name),
    tookMs,
  });
  const key = `${seed.name.split('.').pop()} ${verdict}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
  tried++;
  if (!verdict.startsWith('WRONG')) continue;
  const kept = join(values.keep, `${tried}-${seed.name}`);
  writeFileSync(kept, file);
  const theirWord = typeof theirs === 'string' ? theirs : 'pixels';
  wrong.push(`${kept} (${how}): ${verdict}, ${Math.round(tookMs)} ms; Pillow: ${theirWord}`);
  console.log(wrong.at(-1));
}
pillow.close();
for (const [key, count] of [...counts].sort()) console.log(`${String(count).padStart(7)} ${key}`);
const spent = `${Math.round((performance.now() - began) / 60_000)} minutes, seed ${values.seed}`;
console.log(
  `fuzz-images: ${tried} files in ${spent}: ${wrong.length} answered wrongly, no crash, slowest ${Math.round(slowestMs)} ms`,
);
process.exit(wrong.length > 0 ? 1 : 0);

/** What Pillow cannot write. */
async function writeFurtherSeeds(folder: string): Promise<void> {
  const image = sharp(SAMPLE).resize(160, 120).removeAlpha();
  const wanted = {
    'interlaced.png': image.clone().png({ progressive: true }),
    'deep.png': image.clone().toColourspace('rgb16').png(),
    'tiles.tif': image.clone().tiff({ compression: 'lzw', tile: true, tileWidth: 64, tileHeight: 64 }),
    'tiles-deflate.tif': image.clone().tiff({ compression: 'deflate', tile: true, tileWidth: 32, tileHeight: 32 }),
    'deep.avif': image.clone().avif({ bitdepth: 10, effort: 0 }),
    'colors.gif': image.clone().gif({ colours: 256 }),
  };
  for (const [name, pipeline] of Object.entries(wanted)) await pipeline.toFile(join(folder, name));
}

/** A thread, since this one may be what hangs. */
function startWatchdog() {
  const shared = new BigInt64Array(new SharedArrayBuffer(8));
  const touch = () => Atomics.store(shared, 0, BigInt(Date.now()));
  touch();
  const code = `
    const { workerData: { shared, hangMs, file } } = require('node:worker_threads');
    setInterval(() => {
      if (Date.now() - Number(Atomics.load(shared, 0)) < hangMs) return;
      require('node:fs').writeSync(2, 'fuzz-images: no answer for ' + hangMs + ' ms; the file is ' + file + '\\n');
      process.kill(process.pid, 'SIGKILL');
    }, 1000);`;
  const file = join(values.keep, 'current');
  new Worker(code, { eval: true, workerData: { shared, hangMs: HANG_MS, file } }).unref();
  return { touch };
}

/** Pixels, or a code. */
async function decode(file: Buffer, input = INPUT): Promise<Buffer | string> {
  try {
    return await prepareImage(file, input, 64_000_000);
  } catch (error) {
    return error instanceof InferqlError ? error.code : `THROWN ${error}`;
  }
}

interface Case {
  ours: Buffer | string;
  cropped: Buffer | string;
  theirs: Reading | string;
  undamaged: Buffer | string;
  /** Of the undamaged file. */
  size: string | undefined;
  tookMs: number;
}

function judge({ ours, cropped, theirs, undamaged, size, tookMs }: Case): string {
  if (tookMs > MAX_MS) return 'WRONG: it took too long';
  if (typeof ours !== typeof cropped) return 'WRONG: whole and cropped are not both accepted or both refused';
  if (typeof ours === 'string')
    return ours.startsWith('THROWN') || SERVER_FAULTS.includes(ours) ? `WRONG: ${ours}` : ours;
  if (typeof theirs !== 'string' && distance(ours, theirs.pixels) <= TOLERANCE) return 'accepted, as Pillow';
  if (typeof undamaged !== 'string' && distance(ours, undamaged) <= TOLERANCE) return 'accepted, as undamaged';
  // Pillow shows a canvas around the frame black, browsers and InferQL leave it empty.
  if (typeof theirs !== 'string' && theirs.size !== size) return 'accepted, in another size';
  const reason =
    typeof theirs === 'string' ? 'Pillow refuses it' : `it differs by ${distance(ours, theirs.pixels).toFixed(1)}`;
  return `WRONG: accepted, but ${reason}`;
}

interface Reading {
  /** Width x height. */
  size: string;
  pixels: Buffer;
}

function distance(a: Buffer, b: Buffer): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}

function startPillow() {
  // Its libraries write warnings about nearly every file; what it answers is on the standard output.
  const child: ChildProcess = spawn(values.python, [script, 'read'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    async read(path: string): Promise<Reading | string> {
      child.stdin!.write(`${path}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error('Pillow ended');
      if (value.startsWith('!')) return value;
      const [size = '', pixels = ''] = value.split(' ');
      return { size, pixels: Buffer.from(pixels, 'base64') };
    },
    close: () => child.stdin!.end(),
  };
}
