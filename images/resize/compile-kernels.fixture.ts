/** Compiles kernels.wat into kernels.wasm.ts: `npx tsx images/resize/compile-kernels.fixture.ts`. A test compares the two. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import createWabt from 'wabt';

/** @returns the module in base64 */
export async function compileKernels(): Promise<string> {
  const wabt = await createWabt();
  const source = readFileSync(path.join(import.meta.dirname, 'kernels.wat'), 'utf8');
  const module = wabt.parseWat('kernels.wat', source, { simd: true });
  module.validate();
  return Buffer.from(module.toBinary({}).buffer).toString('base64');
}

if (process.argv[1] === import.meta.filename) {
  const head = '// Compiled from kernels.wat by compile-kernels.fixture.ts. Do not edit.';
  const text = `${head}\nexport const KERNELS =\n  '${await compileKernels()}';\n`;
  writeFileSync(path.join(import.meta.dirname, 'kernels.wasm.ts'), text);
}
