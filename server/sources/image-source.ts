/** Images that a caller names or writes into the request, as files. */
import { fileFromBytes } from '../uploads/file-from-bytes.ts';
import type { UploadedFile } from '../uploads/uploaded-file.ts';
import { decodeDataUrl } from './data-url.ts';
import type { FetchRequest, ImageFetcher } from './image-fetcher.ts';

/** Where an image comes from, if not from a file of the request. */
export type ImageSource = { url: string } | { dataUrl: string };

/**
 * A file for resolvers; one at a URL is read when somebody waits for it.
 * @param maxBytes of the file
 * @throws InferqlError INVALID_INPUT or TOO_LARGE for a `data:` URL
 */
export function openImageSource(
  source: ImageSource,
  request: FetchRequest,
  { fetcher, maxBytes }: { fetcher: Pick<ImageFetcher, 'open'>; maxBytes: number },
): UploadedFile {
  if ('url' in source) return fetcher.open(source.url, request);
  return fileFromBytes(decodeDataUrl(source.dataUrl, maxBytes));
}
