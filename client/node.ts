/** The client for Node: like the client for browsers, but images can also be paths. */
import { openAsBlob } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { blobOf, createClientWith } from './client.ts';
import type { Client, ClientOptions, ImageInput } from './client-types.ts';
import { InferqlError } from './errors.ts';

export type * from './answers/answer-types.ts';
export { readValues } from './answers/tensor-values.ts';
export type * from './client-types.ts';
export { type ErrorCode, InferqlError } from './errors.ts';

/** An image in memory, a path or a `file:` URL. */
export type NodeImageInput = ImageInput | string | URL;

/**
 * A client of one server. A file that cannot be read is an InferqlError UNREADABLE_FILE.
 * @throws TypeError if the url is not an HTTP URL, RangeError if `maxUploads` is less than 1
 * @example
 * const client = createClient({ url: 'http://127.0.0.1:4000' });
 * const { result } = await client.classify('photo.jpg');
 */
export function createClient(options?: ClientOptions): Client<NodeImageInput> {
  return createClientWith(readImage, options);
}

async function readImage(image: NodeImageInput): Promise<Blob> {
  if (typeof image !== 'string' && !(image instanceof URL)) return blobOf(image);
  const path = typeof image === 'string' ? image : fileURLToPath(image);
  try {
    if (!(await stat(path)).isFile()) throw Object.assign(new TypeError('not a file'), { code: 'EISDIR' });
    // A Blob does not say why it cannot be read.
    await (await open(path)).close();
    return await openAsBlob(path);
  } catch (cause) {
    throw new InferqlError('UNREADABLE_FILE', `The file cannot be read${explainFailure(cause, path)}.`, { cause });
  }
}

function explainFailure(error: unknown, path: string): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      // Node cannot open such a file, which other programs list.
      return path.includes('\ufffd') ? ': its name is not UTF-8' : ': it does not exist';
    case 'EACCES':
    case 'EPERM':
      return ': permission denied';
    case 'EISDIR':
      return ': it is a folder, a pipe or a device';
    default:
      return '';
  }
}
