import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Multiply } from '../class-activation-maps.ts';

/**
 * An ONNX file of one node, MatMul: `left` [count, rows, inner], `right` [count, inner, columns], `product`. Its bytes are written
 * here, because the package for such files would cost each engine's start 60 ms and 10 MB; a test reads it with that package.
 */
export const PRODUCT_FILE =
  'CAgSB2luZmVycWw6twEKJwoEbGVmdAoFcmlnaHQSB3Byb2R1Y3QaB3Byb2R1Y3QiBk1hdE11bBIHcHJvZHVjdFopCgRsZWZ0EiEKHwgBEhsKBxIFYmF0Y2gKBxIFc2l6ZTIKBxIFc2l6ZTNaKgoFcmlnaHQSIQofCAESGwoHEgViYXRjaAoHEgVzaXplMwoHEgVzaXplNGIsCgdwcm9kdWN0EiEKHwgBEhsKBxIFYmF0Y2gKBxIFc2l6ZTIKBxIFc2l6ZTRCBAoAEBE=';

/** onnxruntime's matrix product. One thread: waking others is not worth it for a fraction of a millisecond. */
export async function createMultiply(): Promise<Multiply> {
  const session = await InferenceSession.create(Buffer.from(PRODUCT_FILE, 'base64'), { intraOpNumThreads: 1 });
  return async (left, right, { count, rows, inner, columns }) => {
    const { product } = await session.run({
      left: new Tensor('float32', left, [count, rows, inner]),
      right: new Tensor('float32', right, [count, inner, columns]),
    });
    return product!.data as Float32Array;
  };
}
