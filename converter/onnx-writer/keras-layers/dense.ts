import { dense } from '../emit/dense.ts';
import { applyActivation } from './activation-layers.ts';
import { type LayerConverter, onlyInput } from './layer-converter.ts';

export const DENSE_LAYERS: Record<string, LayerConverter> = {
  Dense: (call) => {
    const { builder, config, weight } = call;
    const kernel = weight('kernel');
    const bias = config.boolean('use_bias', true) ? (weight('bias').data as Float32Array) : undefined;
    config.expect('units', kernel.shape[1] ?? 0);
    config.ignore('input_dim', 'lora_alpha');
    config.allow('lora_rank');
    config.allow('quantization_mode');
    config.allow('quantization_config');
    return applyActivation(call, dense(builder, onlyInput(call), kernel, bias));
  },
};
