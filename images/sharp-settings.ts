import sharp from 'sharp';

/**
 * Sets sharp's process-wide options. Call it only in the main file of an InferQL process, never from a library, since a host
 * application decides for itself. The pixels do not depend on these options.
 */
export function setSharpGlobals(): void {
  // Images do not repeat, and with one thread each, several are decoded in parallel without waiting for each other.
  sharp.cache(false);
  sharp.concurrency(1);
  // Every JPEG would be searched for a second picture, see decode/formats/jpeg-second-picture.ts.
  sharp.block({ operation: ['VipsForeignLoadUhdr'] });
}
