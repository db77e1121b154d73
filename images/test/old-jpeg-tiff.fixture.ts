import { inspectJpeg } from '../inspect/jpeg.ts';

const LONG = 4;

/** A JPEG file as the picture of a TIFF file in old-style JPEG compression. @param channels those of the JPEG */
export function writeOldJpegTiff(jpeg: Buffer, channels: 1 | 3): Buffer {
  const { width, height } = inspectJpeg(jpeg);
  const count = 11;
  const jpegAt = 8 + 2 + 12 * count + 4;
  const values = {
    256: width,
    257: height,
    258: 8,
    259: 6,
    262: channels === 1 ? 1 : 6,
    273: jpegAt,
    277: channels,
    278: height,
    279: jpeg.length,
    513: jpegAt,
    514: jpeg.length,
  };
  const head = Buffer.alloc(jpegAt);
  head.write('II*\0', 'latin1');
  head.writeUInt32LE(8, 4);
  head.writeUInt16LE(count, 8);
  Object.entries(values).forEach(([tag, value], i) => {
    const at = 10 + 12 * i;
    head.writeUInt16LE(Number(tag), at);
    head.writeUInt16LE(LONG, at + 2);
    head.writeUInt32LE(1, at + 4);
    head.writeUInt32LE(value, at + 8);
  });
  return Buffer.concat([head, jpeg]);
}
