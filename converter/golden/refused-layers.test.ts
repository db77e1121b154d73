/** Layers that are refused on purpose, each with its sentence. */
import { expect, test } from 'vitest';
import { runConverted } from './harness.fixture.ts';
import { answer, INPUT, type LayerFile, layerFile, PIXELS, tensor } from './layer-files.fixture.ts';

const masked = {
  args: [tensor('image'), tensor('image')],
  kwargs: { attention_mask: tensor('image') },
};

const selfAttention = { args: [tensor('image'), tensor('image')], kwargs: {} };
/** A constant added to the image by Keras 3. */
const added = (constant: unknown): LayerFile => ({
  class_name: 'Add',
  module: 'keras.src.ops.numpy',
  call: { args: [tensor('image'), constant], kwargs: {} },
});

const KERNEL = { kernel: { shape: [3, 2] }, bias: { shape: [2] } };
const dense = (activation: object): LayerFile => ({
  class_name: 'Dense',
  config: { units: 2, activation },
  weights: KERNEL,
});

test.each<[string, LayerFile, RegExp]>([
  ['code of the user', { class_name: 'Lambda', config: { function: 'x' } }, /does not cover Lambda: .*layer l0/],
  ['a class of the user', { class_name: 'Mine', module: 'mine' }, /layer l0 is a class of mine|does not cover Mine/],
  [
    'a class of the user with the name of one of Keras',
    { class_name: 'Dense', registered_name: 'mine>Dense', config: { units: 2 }, weights: KERNEL },
    /Dense: layer l0 is a class of mine, not one of Keras/,
  ],
  [
    'a class of the user with the name of the one that Keras registers as users do',
    {
      class_name: 'CustomScaleLayer',
      registered_name: 'mine>CustomScaleLayer',
      config: { scale: 2 },
      call: { args: [[tensor('image'), tensor('image')]], kwargs: {} },
    },
    /CustomScaleLayer: layer l0 is a class of mine, not one of Keras/,
  ],
  [
    'a function of the user with the name of one of Keras',
    dense({ module: 'builtins', class_name: 'function', config: 'hard_swish', registered_name: 'function' }),
    /activation hard_swish: layer l0: not one of Keras/,
  ],
  [
    'an activation of a class of the user',
    dense({ module: null, class_name: 'LeakyReLU', config: {}, registered_name: 'mine>LeakyReLU' }),
    /activation LeakyReLU: layer l0/,
  ],
  ['a lambda as an activation', dense({ value: ['4wEAAA', null, null] }), /an activation that is a lambda: layer l0/],
  ['a crop that Keras 2 does when it predicts, too', { class_name: 'RandomCrop' }, /does not cover RandomCrop: .*l0/],
  ['AutoContrast, which acts when it predicts', { class_name: 'AutoContrast' }, /does not cover AutoContrast: .*l0/],
  ['Equalization, likewise', { class_name: 'Equalization' }, /does not cover Equalization: .*l0/],
  ['a recurrent layer', { class_name: 'LSTM', config: { units: 4 } }, /does not cover LSTM: .*l0/],
  [
    'attention in a sliding window',
    { class_name: 'MultiHeadAttention', config: { num_heads: 1, key_dim: 2, sliding_window: 1 }, call: selfAttention },
    /MultiHeadAttention/,
  ],
  [
    'a constant that is added along other axes than numpy would',
    added([[[[1], [2], [3]]]]),
    /Add: layer l0: of \[1,1,3,1\] to \[-1,4,3,3\], which Keras' backends add differently/,
  ],
  [
    'an approximation by another number',
    { class_name: 'Gelu', module: 'keras.src.ops.nn', config: { approximate: 2 } },
    /Gelu: layer l0: with approximate that is neither true nor false/,
  ],
  [
    'attention with a mask',
    { class_name: 'MultiHeadAttention', config: { num_heads: 1, key_dim: 2 }, call: masked },
    /layer l0.*attention_mask|MultiHeadAttention/,
  ],
])('%s is refused, and the layer is named', async (_, layer, message) => {
  await expect(answer('3.15.1', [layer])).rejects.toThrow(message);
});

test.each(['2.15.0', '3.15.1'] as const)(
  'a model of a class of the user is refused with the way out, %s',
  async (version) => {
    const file = layerFile(version, [{ class_name: 'ReLU' }]);
    const { modelTopology } = file.modelJson as { modelTopology: { model_config: object } };
    const run = (owner: object) => {
      const topology = { ...modelTopology, model_config: { ...modelTopology.model_config, ...owner } };
      return runConverted({ ...file, modelJson: { ...file.modelJson, modelTopology: topology } }, PIXELS, INPUT);
    };
    // Built from layers, but its own methods may compute something else.
    const own = { class_name: 'Mine', module: null, registered_name: 'own>Mine' };
    await expect(run(own)).rejects.toThrow(
      /does not cover Mine: the model is of a class of own that is not one of Keras/,
    );
    await expect(run({ registered_name: 'own>Functional' })).rejects.toThrow(/does not cover Functional: .* of own/);
    await expect(run({ module: 'mine' })).rejects.toThrow(/does not cover Functional: .* of mine/);
    await run({ module: 'keras.src.models.functional', registered_name: 'Functional' });
  },
);
