/** Names for files that are not read here, so that a refusal says what the file is. */

/** Bytes of a file's beginning, as Latin-1, by the offset at which they are. */
const SIGNATURES: readonly (readonly [name: string, signature: string, offset?: number])[] = [
  ['JPEG XL', '\xff\x0a'],
  ['JPEG XL', '\0\0\0\x0cJXL \r\n\x87\n'],
  ['JPEG 2000', '\0\0\0\x0cjP  \r\n\x87\n'],
  ['JPEG 2000', '\xff\x4f\xff\x51'],
  ['JPEG XR', 'II\xbc\x01'],
  ['PDF', '%PDF-'],
  ['PostScript', '%!PS'],
  ['PostScript', '\xc5\xd0\xd3\xc6'],
  ['Photoshop files (PSD)', '8BPS'],
  ['GIMP files (XCF)', 'gimp xcf'],
  ['OpenEXR', 'v/1\x01'],
  ['Radiance HDR', '#?RADIANCE'],
  ['Radiance HDR', '#?RGBE'],
  ['DICOM', 'DICM', 128],
  ['FITS', 'SIMPLE  ='],
  ['DirectDraw Surface (DDS)', 'DDS '],
  ['QOI', 'qoif'],
  ['FLIF', 'FLIF'],
  ['BPG', 'BPG\xfb'],
  ['Apple icons (ICNS)', 'icns'],
  ['DjVu', 'AT&TFORM'],
  ['MNG', '\x8aMNG'],
  ['JNG', '\x8bJNG'],
  ['Windows metafiles (WMF)', '\xd7\xcd\xc6\x9a'],
  ['Windows metafiles (EMF)', ' EMF', 40],
  ['TGA', 'TRUEVISION-XFILE.', -18],
  ['raw files of a camera (Canon CR3)', 'ftypcrx', 4],
  ['raw files of a camera (Canon CRW)', 'HEAPCCDR', 6],
  ['raw files of a camera (Fujifilm RAF)', 'FUJIFILMCCD-RAW'],
  ['raw files of a camera (Olympus ORF)', 'IIRO'],
  ['raw files of a camera (Olympus ORF)', 'IIRS'],
  ['raw files of a camera (Olympus ORF)', 'MMOR'],
  ['raw files of a camera (Panasonic RW2)', 'IIU\0'],
  ['raw files of a camera (Sigma X3F)', 'FOVb'],
  ['raw files of a camera (Minolta MRW)', '\0MRM'],
  ['video (AVI)', 'AVI ', 8],
  ['audio (WAV)', 'WAVE', 8],
  ['video (Matroska, WebM)', '\x1aE\xdf\xa3'],
  ['video (MPEG)', '\0\0\x01\xba'],
  ['video or audio (Ogg)', 'OggS'],
  ['audio (MP3)', 'ID3'],
  ['ZIP archives', 'PK\x03\x04'],
  ['gzip archives', '\x1f\x8b'],
  ['RAR archives', 'Rar!\x1a\x07'],
  ['7z archives', '7z\xbc\xaf\x27\x1c'],
  ['bzip2 archives', '1AY&SY', 4],
  ['xz archives', '\xfd7zXZ\0'],
  ['Zstandard archives', '\x28\xb5\x2f\xfd'],
  ['NumPy arrays', '\x93NUMPY'],
  ['files of macOS that only accompany an image (AppleDouble, ._*)', '\0\x05\x16\x07'],
];

/** What is sent instead of an image by mistake, as text. */
const TEXTS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['a data URL as text: send the bytes that it encodes', /^data:/i],
  [
    'Base64 text: send the bytes that it encodes',
    /^(\/9j\/|iVBORw0KGgo|R0lGOD|UklGR|Qk0|SUkq|AAAA[A-Z]{2}Z0eX)[\w+/\r\n=-]+$/,
  ],
  ['Git LFS pointers: send the file itself', /^version https:\/\/git-lfs/],
  [
    'HTML: the page of an error may have been saved as an image',
    /^(<!--[\s\S]*?-->\s*)?<(!doctype html|html|head|body)\b/i,
  ],
  ['an image behind other bytes, such as a line break: send the file unchanged', /^(\xff\xd8\xff|\x89PNG\r|GIF8[79]a)/],
  ['SVG', /<svg[\s>]/i],
  ['XML', /^<\?xml/],
  ['JSON', /^[[{]\s*["[{\]}\d]/],
  ['portable bitmaps (PBM, PGM, PPM, PAM)', /^P[1-7]\s/],
];

const MAX_TEXT_BYTES = 1_024;
/** The start of a JPEG or PNG after its bytes were read as UTF-8. */
const REPLACED = '\xef\xbf\xbd';
const VIDEO_BRAND = /^(isom|iso\d|mp4\d|avc1|qt {2}|M4[VAP] |MSNV|dash|3g[p2]|mmp4|f4v )/;

/**
 * What a file is, by its first bytes.
 * @returns completes 'This server does not read ...'; undefined if nobody knows
 */
export function nameForeignFormat(file: Buffer): string | undefined {
  const text = file.toString('latin1', 0, MAX_TEXT_BYTES);
  const found = SIGNATURES.find(([, signature, offset = 0]) => {
    const at = offset < 0 ? file.length + offset : offset;
    return at >= 0 && file.toString('latin1', at, at + signature.length) === signature;
  });
  if (found) return found[0];
  if (text.startsWith(`${REPLACED}${REPLACED}${REPLACED}`) || text.startsWith(`${REPLACED}PNG`)) {
    return 'an image whose bytes were changed into text (UTF-8): send them unchanged';
  }
  if (text.slice(4, 8) === 'ftyp') {
    return VIDEO_BRAND.test(text.slice(8, 12)) ? 'video (MP4, QuickTime)' : undefined;
  }
  return nameText(text);
}

function nameText(bytes: string): string | undefined {
  const text = bytes.replace(/^\xef\xbb\xbf/, '').trimStart();
  const known = TEXTS.find(([, pattern]) => pattern.test(text));
  if (known) return known[0];
  // Letters of other alphabets are bytes from 0x80 on in UTF-8.
  return text.length > 0 && /^[\t\n\r -~\x80-\xff]*$/.test(text) && /^[\t\n\r -~]{8}/.test(text) ? 'text' : undefined;
}
