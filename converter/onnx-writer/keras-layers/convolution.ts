import { convolution, depthwiseConvolution, transposedConvolution } from '../emit/conv.ts';
import { applyActivation } from './activation-layers.ts';
import { type LayerCall, type LayerConverter, onlyInput } from './layer-converter.ts';

function windowOf({ config }: LayerCall) {
  return {
    strides: config.pair('strides', [1, 1]),
    dilations: config.pair('dilation_rate', [1, 1]),
    padding: config.padding(),
  };
}

function biasOf({ config, weight }: LayerCall): Float32Array | undefined {
  return config.boolean('use_bias', true) ? (weight('bias').data as Float32Array) : undefined;
}

/** What says again what the kernel's shape says, and what Keras 3 adds for its own training. */
function checkKernel({ config }: LayerCall, [height = 0, width = 0]: readonly number[]): void {
  config.requireChannelsLast();
  config.expect('kernel_size', height, width);
  config.expect('rank', 2);
  config.ignore('lora_alpha');
  config.allow('lora_rank');
  config.allow('quantization_mode');
}

export const CONVOLUTION_LAYERS: Record<string, LayerConverter> = {
  Conv2D: (call) => {
    const { builder, config, weight } = call;
    const kernel = weight('kernel');
    const [, , perGroup = 0, filters = 0] = kernel.shape;
    const input = onlyInput(call);
    checkKernel(call, kernel.shape);
    config.expect('filters', filters);
    config.expect('groups', (input.shape[3] ?? 0) / perGroup);
    return applyActivation(call, convolution(builder, { input, kernel, bias: biasOf(call), window: windowOf(call) }));
  },
  DepthwiseConv2D: (call) => {
    const { builder, config, dialect, weight } = call;
    const kernel = weight('depthwise_kernel');
    checkKernel(call, kernel.shape);
    config.expect('depth_multiplier', kernel.shape[3] ?? 0);
    config.allow('groups', 1);
    const window = windowOf(call);
    // tfjs ignores this layer's dilation, and for a model of tfjs its answer is the correct one.
    if (dialect === 'tfjs') window.dilations = [1, 1];
    const operands = { input: onlyInput(call), kernel, bias: biasOf(call), window };
    return applyActivation(call, depthwiseConvolution(builder, operands));
  },
  SeparableConv2D: (call) => {
    const { builder, config, weight } = call;
    const [depthwise, pointwise] = [weight('depthwise_kernel'), weight('pointwise_kernel')];
    checkKernel(call, depthwise.shape);
    config.expect('depth_multiplier', depthwise.shape[3] ?? 0);
    config.expect('filters', pointwise.shape[3] ?? 0);
    config.allow('groups', 1);
    const first = { input: onlyInput(call), kernel: depthwise, window: windowOf(call) };
    const second = {
      input: depthwiseConvolution(builder, first),
      kernel: pointwise,
      bias: biasOf(call),
      window: { strides: [1, 1], dilations: [1, 1], padding: 'valid' },
    } as const;
    return applyActivation(call, convolution(builder, second));
  },
  Conv2DTranspose: (call) => {
    const { builder, config, weight } = call;
    const kernel = weight('kernel');
    checkKernel(call, kernel.shape);
    config.expect('filters', kernel.shape[2] ?? 0);
    config.allow('groups', 1);
    config.allow('output_padding');
    const operands = { input: onlyInput(call), kernel, bias: biasOf(call), window: windowOf(call) };
    return applyActivation(call, transposedConvolution(builder, operands));
  },
};
