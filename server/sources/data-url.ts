import { InvalidArgumentError } from '../predictions/submit-request.ts';
import { fileTooLarge } from '../uploads/uploaded-file.ts';

const HEADER = /^data:[^,]{0,200}?;base64,/i;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/**
 * Decodes a `data:` URL, as `canvas.toDataURL()` and `FileReader` make them. Its media type is ignored: the format is read from the bytes.
 * @throws InferqlError INVALID_INPUT for the argument `source` if it is not such a URL; TOO_LARGE
 */
export function decodeDataUrl(text: string, maxBytes: number): Buffer {
  const header = HEADER.exec(text)?.[0];
  if (header === undefined) {
    throw new InvalidArgumentError('source', "dataUrl must begin like 'data:image/png;base64,'.");
  }
  const base64 = text.slice(header.length).replace(/%3D/gi, '=');
  if (Math.floor((base64.length * 3) / 4) > maxBytes + 3) {
    throw fileTooLarge(maxBytes);
  }
  if (!BASE64.test(base64)) throw new InvalidArgumentError('source', 'dataUrl is not valid base64.');
  return Buffer.from(base64, 'base64');
}
