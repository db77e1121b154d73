/**
 * Compiles kernels/ into kernels.wasm.ts: `npx tsx images/plain-jpeg-decoder/compile-kernels.fixture.ts`. A test compares the two.
 *
 * The kernels are the arithmetic of a sequential JPEG decoder, bit for bit as libjpeg-turbo's default (accurate integer DCT, triangle
 * upsampling), in AssemblyScript with 128-bit SIMD. plain-jpeg.ts reads the headers and lays out the memory. For whatever is unusual or
 * damaged they return a negative number: another decoder decides then.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import asc from 'assemblyscript/asc';

/** The files of kernels/ in the order of their work: each uses what those before it declare. */
const PARTS = ['huffman-tables', 'entropy-coded-data', 'inverse-dct', 'scan', 'colors'];
const OPTIONS = [
  'kernels.ts',
  '-O3',
  '--noAssert',
  '--runtime',
  'stub',
  '--enable',
  'simd',
  '--outFile',
  'kernels.wasm',
];

/** @returns the module in base64 */
export async function compileKernels(): Promise<string> {
  const read = (part: string) => readFileSync(path.join(import.meta.dirname, 'kernels', `${part}.as`), 'utf8');
  const source = PARTS.map(read).join('\n');
  let module: Uint8Array | undefined;
  const { error, stderr } = await asc.main(OPTIONS, {
    // The compiler looks for files that end with .ts, which this language is not.
    readFile: (name) => (name === 'kernels.ts' ? source : null),
    writeFile: (_name, contents) => {
      module = contents as Uint8Array;
    },
    listFiles: () => [],
  });
  if (error || !module) throw new Error(`kernels: ${stderr.toString()}`);
  return Buffer.from(module).toString('base64');
}

if (process.argv[1] === import.meta.filename) {
  const head = '// Compiled from kernels/ by compile-kernels.fixture.ts. Do not edit.';
  const text = `${head}\nexport const KERNELS =\n  '${await compileKernels()}';\n`;
  writeFileSync(path.join(import.meta.dirname, 'kernels.wasm.ts'), text);
}
