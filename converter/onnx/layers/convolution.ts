import { UnsupportedOpError } from '../../errors.ts';
import { activate } from '../emit/activation.ts';
import { convolution, depthwiseConvolution, transposedConvolution } from '../emit/conv.ts';
import { type LayerCall, type LayerConverter, onlyInput } from './registry.ts';

function windowOf({ config }: LayerCall) {
  config.requireChannelsLast();
  return {
    strides: config.pair('strides', [1, 1]),
    dilations: config.pair('dilation_rate', [1, 1]),
    padding: config.padding(),
  };
}

function biasOf({ config, weight }: LayerCall): Float32Array | undefined {
  return config.boolean('use_bias', true) ? (weight('bias').data as Float32Array) : undefined;
}

export const CONVOLUTION_LAYERS: Record<string, LayerConverter> = {
  Conv2D: (call) => {
    const { builder, config, weight } = call;
    const result = convolution(builder, onlyInput(call), weight('kernel'), biasOf(call), windowOf(call));
    return activate(builder, config.activation(), result);
  },
  DepthwiseConv2D: (call) => {
    const { builder, config, weight } = call;
    const kernel = weight('depthwise_kernel');
    // tfjs ignores this layer's dilation, and what tfjs answers is what a tfjs model means.
    const window = { ...windowOf(call), dilations: [1, 1] } as const;
    const result = depthwiseConvolution(builder, onlyInput(call), kernel, biasOf(call), window);
    return activate(builder, config.activation(), result);
  },
  SeparableConv2D: (call) => {
    const { builder, config, weight } = call;
    const depthwise = depthwiseConvolution(
      builder,
      onlyInput(call),
      weight('depthwise_kernel'),
      undefined,
      windowOf(call),
    );
    const pointwise = convolution(builder, depthwise, weight('pointwise_kernel'), biasOf(call), {
      strides: [1, 1],
      dilations: [1, 1],
      padding: 'valid',
    });
    return activate(builder, config.activation(), pointwise);
  },
  Conv2DTranspose: (call) => {
    const { builder, config, weight } = call;
    if (config.raw('output_padding') != null) throw new UnsupportedOpError(call.className, 'with output_padding');
    const result = transposedConvolution(builder, onlyInput(call), weight('kernel'), biasOf(call), windowOf(call));
    return activate(builder, config.activation(), result);
  },
};
