import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { inspectImage } from './inspect.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const behind = (length: number, text: string) => Buffer.concat([Buffer.alloc(length, 1), bytes(text)]);

function refusalOf(file: Buffer): unknown {
  try {
    return inspectImage(file);
  } catch (error) {
    return error;
  }
}

describe('what is not an image that is read here is named:', () => {
  test.each<[string, Buffer]>([
    ['JPEG XL', bytes('\xff\x0a\xfa\x1f\x01')],
    ['JPEG XL', bytes('\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ')],
    ['JPEG 2000', bytes('\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ')],
    ['JPEG 2000', bytes('\xff\x4f\xff\x51\0\x2f')],
    ['JPEG XR', bytes('II\xbc\x01\x20\0\0\0')],
    ['JPEG-LS', bytes('\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0\xff\xda')],
    ['PDF', bytes('%PDF-1.7\n1 0 obj\n')],
    ['PostScript', bytes('%!PS-Adobe-3.0 EPSF-3.0\n')],
    ['Photoshop', bytes('8BPS\0\x01\0\0\0\0\0\0\0\x03')],
    ['OpenEXR', bytes('v/1\x01\x02\0\0\0')],
    ['Radiance HDR', bytes('#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n')],
    ['DICOM', behind(128, 'DICM\x02\0\0\0UL')],
    ['TGA', behind(40, 'TRUEVISION-XFILE.\0')],
    ['Canon CR3', bytes('\0\0\0\x18ftypcrx \0\0\0\x01crx isom')],
    ['Fujifilm RAF', bytes('FUJIFILMCCD-RAW 0201')],
    ['Panasonic RW2', bytes('IIU\0\x18\0\0\0')],
    ['video (MP4, QuickTime)', bytes('\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41')],
    ['video (MP4, QuickTime)', bytes('\0\0\0\x14ftypqt  \0\0\0\0qt  ')],
    ['video (Matroska, WebM)', bytes('\x1aE\xdf\xa3\x9fB\x86\x81\x01')],
    ['video (AVI)', bytes('RIFF\x24\0\0\0AVI LIST')],
    ['ZIP', bytes('PK\x03\x04\x14\0\x08\0')],
    ['gzip', bytes('\x1f\x8b\x08\0\0\0\0\0')],
    ['bzip2', bytes('BZh91AY&SYwK\xb0\x14')],
    ['xz', bytes('\xfd7zXZ\0\0\x04\xe6\xd6\xb4F')],
    ['Zstandard', bytes('\x28\xb5\x2f\xfd\x24\x01\x09\0')],
    ['AppleDouble', bytes('\0\x05\x16\x07\0\x02\0\0Mac OS X        ')],
    ['SVG', bytes('<?xml version="1.0"?>\n<!-- made by hand --><svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['HTML', bytes('\r\n<!DOCTYPE html><html><head><title>404</title></head><body><svg/></body></html>')],
    ['JSON', bytes('{"error":"not found"}')],
    ['XML', bytes('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')],
    ['portable bitmaps', bytes('P6 4 4 255\n')],
    ['Git LFS', bytes('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n')],
    ['data URL', bytes('data:image/jpeg;base64,/9j/4AAQSkZJRg')],
    ['text', Buffer.from('\ufeffCher client, voilà votre reçu du 3 mai.')],
  ])('%s', (name, file) => {
    const message = expect.stringContaining(name);
    expect(refusalOf(file)).toMatchObject({ code: 'UNSUPPORTED_FORMAT', message });
  });

  test.each(['jpeg', 'png', 'gif', 'webp', 'avif', 'tiff'] as const)('a %s as Base64', async (format) => {
    const file = await sharp('models/samples/rocket.jpg').resize(32).toFormat(format).toBuffer();
    const message = expect.stringMatching(/Base64.*bytes/);
    const code = 'UNSUPPORTED_FORMAT';
    expect(refusalOf(Buffer.from(file.toString('base64')))).toMatchObject({ code, message });
  });

  test.each(['jpeg', 'png'] as const)('a %s that was read as text', async (format) => {
    const file = await sharp('models/samples/rocket.jpg').resize(32).toFormat(format).toBuffer();
    const message = expect.stringMatching(/UTF-8.*unchanged/);
    const code = 'UNSUPPORTED_FORMAT';
    expect(refusalOf(Buffer.from(file.toString('utf8')))).toMatchObject({ code, message });
  });
});

test.each(['\r\n', '\xef\xbb\xbf', ' '])('an image behind %j', async (before) => {
  const jpeg = await sharp('models/samples/rocket.jpg').resize(32).jpeg().toBuffer();
  const message = expect.stringContaining('unchanged');
  expect(refusalOf(Buffer.concat([bytes(before), jpeg]))).toMatchObject({ code: 'UNSUPPORTED_FORMAT', message });
});

test('nothing of the file is repeated, and what nobody knows gets the list of formats', () => {
  for (const file of [bytes('secret of someone, as text'), Buffer.from([1, 2, 3]), bytes('\0\0\0\x18ftypzzzz')]) {
    const { code, message } = refusalOf(file) as { code: string; message: string };
    expect(code).toBe('UNSUPPORTED_FORMAT');
    expect(message).toMatch(/JPEG, PNG, WebP/);
    expect(message).not.toMatch(/secret|zzzz/);
  }
});
