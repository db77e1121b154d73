/** Layers that are refused on purpose, each with its sentence. */
import { expect, test } from 'vitest';
import { answer, type LayerFile, tensor } from './layer-files.fixture.ts';

const masked = {
  args: [tensor('image'), tensor('image')],
  kwargs: { attention_mask: tensor('image') },
};

test.each<[string, LayerFile, RegExp]>([
  ['code of the user', { class_name: 'Lambda', config: { function: 'x' } }, /does not cover Lambda: .*layer l0/],
  ['a class of the user', { class_name: 'Mine', module: 'mine' }, /layer l0 is a class of mine|does not cover Mine/],
  ['a crop that Keras 2 does when it predicts, too', { class_name: 'RandomCrop' }, /does not cover RandomCrop: .*l0/],
  ['AutoContrast, which acts when it predicts', { class_name: 'AutoContrast' }, /does not cover AutoContrast: .*l0/],
  ['Equalization, likewise', { class_name: 'Equalization' }, /does not cover Equalization: .*l0/],
  ['a recurrent layer', { class_name: 'LSTM', config: { units: 4 } }, /does not cover LSTM: .*l0/],
  [
    'attention with a mask',
    { class_name: 'MultiHeadAttention', config: { num_heads: 1, key_dim: 2 }, call: masked },
    /layer l0.*attention_mask|MultiHeadAttention/,
  ],
])('%s is refused, and the layer is named', async (_, layer, message) => {
  await expect(answer('3.15.1', [layer])).rejects.toThrow(message);
});
