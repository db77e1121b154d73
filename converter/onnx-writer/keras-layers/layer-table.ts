import { ACTIVATION_LAYERS } from './activation-layers.ts';
import { multiHeadAttention } from './attention.ts';
import { CONVOLUTION_LAYERS } from './convolution.ts';
import { DENSE_LAYERS } from './dense.ts';
import type { LayerConverter } from './layer-converter.ts';
import { MERGE_LAYERS } from './merge.ts';
import { NORMALIZATION_LAYERS } from './normalization.ts';
import { PADDING_LAYERS } from './padding.ts';
import { POOLING_LAYERS } from './pooling.ts';
import { SHAPE_LAYERS } from './shape.ts';
import { TRAINING_ONLY_LAYERS } from './training-only.ts';
import { UPSAMPLING_LAYERS } from './upsampling.ts';

/** Every layer class that the converter covers. */
export const LAYERS: Record<string, LayerConverter> = {
  MultiHeadAttention: multiHeadAttention,
  ...ACTIVATION_LAYERS,
  ...CONVOLUTION_LAYERS,
  ...DENSE_LAYERS,
  ...MERGE_LAYERS,
  ...NORMALIZATION_LAYERS,
  ...PADDING_LAYERS,
  ...POOLING_LAYERS,
  ...SHAPE_LAYERS,
  ...TRAINING_ONLY_LAYERS,
  ...UPSAMPLING_LAYERS,
};
