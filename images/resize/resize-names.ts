/**
 * The names of `input.resize` in a model's spec: the library that the model was trained with, and its filter. Without the functions, which
 * `resizers.ts` has: who only checks a name does not load them.
 */
const RESIZER_NAMES = [
  'pillow-bilinear',
  'pillow-bicubic',
  'pillow-lanczos',
  'pillow-box',
  'pillow-hamming',
  'pillow-nearest',
  'pillow11-bilinear',
  'pillow11-bicubic',
  'pillow11-lanczos',
  'pillow11-box',
  'pillow11-hamming',
  // Pillow's filters with the crop of Hugging Face's transformers.
  'transformers-bilinear',
  'transformers-bicubic',
  'transformers-lanczos',
  'transformers-box',
  'transformers-hamming',
  'transformers-nearest',
  'opencv-linear',
  'opencv-area',
  'opencv-cubic',
  'opencv-cubic-fixed',
  'opencv-nearest',
  'tensorflow-bilinear',
  'tensorflow-bilinear-antialias',
  'tensorflow-bicubic',
  'tensorflow-bicubic-antialias',
  'tensorflow-lanczos3-antialias',
  'tensorflow-nearest',
  'tensorflow-area',
  'tfjs-bilinear',
  'tfjs-bilinear-align-corners',
  'tfjs-bilinear-half-pixel-centers',
  'tfjs-nearest',
  'tfjs-nearest-align-corners',
  'tfjs-nearest-half-pixel-centers',
  'torchvision-bilinear',
  'torchvision-bilinear-no-antialias',
  'torchvision-bicubic',
  'torchvision-bicubic-no-antialias',
  'torchvision-nearest',
  'torchvision-nearest-exact',
  'canvas',
] as const;

export type ResizeName = (typeof RESIZER_NAMES)[number];

/** Also sharp's resize, which differs from that of every library that trains models. */
export const RESIZE_NAMES = [
  ...RESIZER_NAMES,
  'sharp-linear',
  'sharp-cubic',
  'sharp-nearest',
  'sharp-lanczos3',
] as const;

export function isResizeName(name: string): name is ResizeName {
  return RESIZER_NAMES.some((known) => known === name);
}
