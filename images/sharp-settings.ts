import sharp from 'sharp';

/**
 * Sets what sharp has once per process. Call it in the main file of a process that decodes for InferQL alone, never from a library: a host
 * application decides for itself. Pixels do not depend on it.
 */
export function setSharpGlobals(): void {
  // Images do not repeat, and with one thread each, several are decoded in parallel without waiting for each other.
  sharp.cache(false);
  sharp.concurrency(1);
  // Every JPEG would be searched for a second picture, see decode/jpeg-second-picture.ts.
  sharp.block({ operation: ['VipsForeignLoadUhdr'] });
}
