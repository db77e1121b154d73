/** Files for resolvers that did not come through the multipart reader. */
import type { UploadedFile } from './uploaded-file.ts';

/** An image in memory, as a file for resolvers. */
export function fileFromBytes(bytes: Uint8Array): UploadedFile {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { arrived: async () => undefined, readBytes: async () => buffer, release: () => undefined };
}

/** A file that another GraphQL server has received. */
export function fileFromBlob(blob: Pick<Blob, 'arrayBuffer'>): UploadedFile {
  return {
    arrived: async () => undefined,
    readBytes: async () => Buffer.from(await blob.arrayBuffer()),
    release: () => undefined,
  };
}
