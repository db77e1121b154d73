import { ModelError } from '../../errors.ts';
import { resolveShape, transpose } from '../emit/shape.ts';
import { type LayerConverter, onlyInput } from './layer-converter.ts';

export const SHAPE_LAYERS: Record<string, LayerConverter> = {
  Flatten: (call) => {
    call.config.requireChannelsLast();
    return call.builder.flatten(onlyInput(call));
  },
  Reshape: (call) => {
    const input = onlyInput(call);
    const target = call.config.raw('target_shape') ?? call.config.raw('targetShape');
    if (!Array.isArray(target)) throw new ModelError('TOPOLOGY_INVALID', `layer ${call.config.layer}: target_shape`);
    const sizes = target.map((size) => (typeof size === 'number' ? size : -1));
    return call.builder.reshape(input, resolveShape(input.shape, [-1, ...sizes]));
  },
  Permute: (call) => transpose(call.builder, onlyInput(call), [0, ...call.config.numbers('dims')]),
};
