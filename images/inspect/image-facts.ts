/** Facts about an image file, read without decoding it. */

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | 'heic' | 'tiff' | 'bmp' | 'ico';

/** Coding-independent code points (ITU-T H.273): how numbers become colors. */
export interface ColorCoding {
  primaries: number;
  transfer: number;
}

export interface Rectangle {
  left: number;
  top: number;
  width: number;
  height: number;
}

interface CommonFacts {
  /** Pixels of what is decoded, before rotation. For GIF, WebP, TIFF and ICO: of the first frame, page or largest entry. */
  width: number;
  height: number;
  /** Expected CPU time of decoding, in milliseconds on one core. An estimate with a factor of two either way. */
  costMs: number;
  /** Expected memory while decoding, in bytes, without the file. */
  memoryBytes: number;
  /** False: the file ends before its content does. */
  isWhole: boolean;
}

export interface JpegFacts extends CommonFacts {
  format: 'jpeg';
  /** False: there is no end marker. The image may still be complete, with other data after it. */
  hasEndMarker: boolean;
  /** One scan holds everything; a progressive JPEG has several. */
  isOnePass: boolean;
  /** CMYK or YCCK. */
  isCmyk: boolean;
}

export interface PngFacts extends CommonFacts {
  format: 'png';
  color: ColorCoding | undefined;
}

export interface GifFacts extends CommonFacts {
  format: 'gif';
  /** Where the first frame is on the canvas. */
  frame: Rectangle;
  /** Offset of the first byte after the first frame. */
  firstFrameEnd: number;
  /** Offset of the first frame's code size, before its data. */
  dataAt: number;
}

export interface WebpFacts extends CommonFacts {
  format: 'webp';
}

export interface AvifFacts extends CommonFacts {
  format: 'avif';
  color: ColorCoding | undefined;
  /** The color profile (ICC.1), if there is one. */
  profile: Buffer | undefined;
}

export interface HeicFacts extends CommonFacts {
  format: 'heic';
}

export interface TiffFacts extends CommonFacts {
  format: 'tiff';
  isLittleEndian: boolean;
  isBig: boolean;
  /** Offset of the first directory. */
  directory: number;
  orientation: number;
  photometric: number;
  /** Channels that are color; the others follow them. */
  colorChannels: number;
  channels: number;
  /** The meaning of each channel after the color: 0 unspecified, 1 premultiplied alpha, 2 alpha. */
  extraSamples: number[];
  isFloat: boolean;
  tiles: { width: number; height: number; across: number; down: number } | undefined;
  /** A JPEG file inside an old-style JPEG TIFF. */
  embeddedJpeg: { offset: number; length: number } | undefined;
}

export interface BmpFacts extends CommonFacts {
  format: 'bmp';
}

export interface IcoFacts extends CommonFacts {
  format: 'ico';
  /** The largest picture of the file. */
  entry: { offset: number; length: number; isPng: boolean };
}

export type ImageFacts =
  | JpegFacts
  | PngFacts
  | GifFacts
  | WebpFacts
  | AvifFacts
  | HeicFacts
  | TiffFacts
  | BmpFacts
  | IcoFacts;

/** CPU milliseconds per megapixel of converting CMYK without a profile. They are spent in JavaScript. */
export const CMYK_MS = 10;

/** Bytes of 8-bit pixels. */
export function pixelBytes(width: number, height: number, channels: number): number {
  return width * height * channels;
}

export function megapixels(width: number, height: number): number {
  return (width * height) / 1e6;
}
