import { globalPool, pool } from '../emit/pool.ts';
import { reduce } from '../emit/reduce.ts';
import type { Value } from '../graph/graph-builder.ts';
import { type LayerCall, type LayerConverter, onlyInput } from './layer-converter.ts';

function windowPool(kind: 'max' | 'average') {
  return (call: LayerCall): Value => {
    const { builder, config } = call;
    config.requireChannelsLast();
    const size = config.pair('pool_size', [2, 2]);
    return pool(builder, kind, onlyInput(call), {
      size,
      strides: config.pair('strides', size),
      dilations: [1, 1],
      padding: config.padding(),
    });
  };
}

function overAll(kind: 'max' | 'average') {
  return (call: LayerCall): Value => {
    call.config.requireChannelsLast();
    return globalPool(call.builder, kind, onlyInput(call), call.config.boolean('keepdims', false));
  };
}

function overPositions(op: string) {
  return (call: LayerCall): Value => {
    call.config.requireChannelsLast();
    return reduce(call.builder, op, onlyInput(call), [1], call.config.boolean('keepdims', false));
  };
}

export const POOLING_LAYERS: Record<string, LayerConverter> = {
  GlobalMaxPooling1D: overPositions('ReduceMax'),
  GlobalAveragePooling1D: overPositions('ReduceMean'),
  MaxPooling2D: windowPool('max'),
  AveragePooling2D: windowPool('average'),
  GlobalMaxPooling2D: overAll('max'),
  GlobalAveragePooling2D: overAll('average'),
};
