/** The functions behind the names of `input.resize`. */
import { resizeAsCanvas } from './canvas.ts';
import { createOpencvResizer } from './opencv.ts';
import { createPillowResizer } from './pillow.ts';
import type { Resizer } from './pixels.ts';
import type { ResizeName } from './resize-names.ts';
import { createTensorflowResizer } from './tensorflow.ts';
import { createTfjsBilinearResizer, createTfjsNearestResizer } from './tfjs.ts';
import { createTorchvisionResizer } from './torchvision.ts';

export const RESIZERS = {
  'pillow-bilinear': createPillowResizer('bilinear'),
  'pillow-bicubic': createPillowResizer('bicubic'),
  'pillow-lanczos': createPillowResizer('lanczos'),
  'pillow-box': createPillowResizer('box'),
  'pillow-hamming': createPillowResizer('hamming'),
  'pillow-nearest': createPillowResizer('nearest'),
  'pillow11-bilinear': createPillowResizer('bilinear', 'columns-first'),
  'pillow11-bicubic': createPillowResizer('bicubic', 'columns-first'),
  'pillow11-lanczos': createPillowResizer('lanczos', 'columns-first'),
  'pillow11-box': createPillowResizer('box', 'columns-first'),
  'pillow11-hamming': createPillowResizer('hamming', 'columns-first'),
  'transformers-bilinear': createPillowResizer('bilinear'),
  'transformers-bicubic': createPillowResizer('bicubic'),
  'transformers-lanczos': createPillowResizer('lanczos'),
  'transformers-box': createPillowResizer('box'),
  'transformers-hamming': createPillowResizer('hamming'),
  'transformers-nearest': createPillowResizer('nearest'),
  'opencv-linear': createOpencvResizer('linear'),
  'opencv-area': createOpencvResizer('area'),
  'opencv-cubic': createOpencvResizer('cubic'),
  'opencv-cubic-fixed': createOpencvResizer('cubic-fixed'),
  'opencv-nearest': createOpencvResizer('nearest'),
  'tensorflow-bilinear': createTensorflowResizer('bilinear'),
  'tensorflow-bilinear-antialias': createTensorflowResizer('bilinear-antialias'),
  'tensorflow-bicubic': createTensorflowResizer('bicubic'),
  'tensorflow-bicubic-antialias': createTensorflowResizer('bicubic-antialias'),
  'tensorflow-lanczos3-antialias': createTensorflowResizer('lanczos3-antialias'),
  'tensorflow-nearest': createTensorflowResizer('nearest'),
  'tensorflow-area': createTensorflowResizer('area'),
  'tfjs-bilinear': createTfjsBilinearResizer('origin'),
  'tfjs-bilinear-align-corners': createTfjsBilinearResizer('corners'),
  'tfjs-bilinear-half-pixel-centers': createTfjsBilinearResizer('centers'),
  'tfjs-nearest': createTfjsNearestResizer('origin'),
  'tfjs-nearest-align-corners': createTfjsNearestResizer('corners'),
  'tfjs-nearest-half-pixel-centers': createTfjsNearestResizer('centers'),
  'torchvision-bilinear': createTorchvisionResizer('bilinear'),
  'torchvision-bilinear-no-antialias': createTorchvisionResizer('bilinear-no-antialias'),
  'torchvision-bicubic': createTorchvisionResizer('bicubic'),
  'torchvision-bicubic-no-antialias': createTorchvisionResizer('bicubic-no-antialias'),
  'torchvision-nearest': createTorchvisionResizer('nearest'),
  'torchvision-nearest-exact': createTorchvisionResizer('nearest-exact'),
  canvas: resizeAsCanvas,
} satisfies Record<ResizeName, Resizer>;
