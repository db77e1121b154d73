/** Compiles kernels.as into kernels.wasm.ts: `npx tsx images/plain-jpeg-decoder/compile-kernels.fixture.ts`. A test compares the two. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import asc from 'assemblyscript/asc';

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
  const source = readFileSync(path.join(import.meta.dirname, 'kernels.as'), 'utf8');
  let module: Uint8Array | undefined;
  const { error, stderr } = await asc.main(OPTIONS, {
    // The compiler looks for files that end with .ts, which this language is not.
    readFile: (name) => (name === 'kernels.ts' ? source : null),
    writeFile: (_name, contents) => {
      module = contents as Uint8Array;
    },
    listFiles: () => [],
  });
  if (error || !module) throw new Error(`kernels.as: ${stderr.toString()}`);
  return Buffer.from(module).toString('base64');
}

if (process.argv[1] === import.meta.filename) {
  const head = '// Compiled from kernels.as by compile-kernels.fixture.ts. Do not edit.';
  const text = `${head}\nexport const KERNELS =\n  '${await compileKernels()}';\n`;
  writeFileSync(path.join(import.meta.dirname, 'kernels.wasm.ts'), text);
}
