/**
 * Starts the kernels of a compiled WebAssembly module.
 * @param code the module in base64
 * @returns undefined if this processor or Node has no SIMD in WebAssembly
 */
export function loadKernels<Kernels>(code: string): Kernels | undefined {
  try {
    const module = new WebAssembly.Module(Buffer.from(code, 'base64'));
    return new WebAssembly.Instance(module).exports as Kernels;
  } catch {
    return undefined;
  }
}
