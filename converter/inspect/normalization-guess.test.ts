import { expect, test } from 'vitest';
import type { InputTrace } from '../onnx-reader/input-trace.ts';
import { Findings } from './findings.ts';
import type { KerasFamily } from './layer-name-families.ts';
import { guessNormalization } from './normalization-guess.ts';

const FIRST_LAYERS = {
  ordinary: { weightSpread: 0.1, offsetSpread: 0.3, inputMean: { value: 0.01, error: 0.04 } },
  bytes: { weightSpread: 0.0005, offsetSpread: 0.9, inputMean: { value: 112, error: 16 } },
  centered: { weightSpread: 0.0005, offsetSpread: 0.3, inputMean: { value: -11, error: 16 } },
  small: { weightSpread: 0.0005, offsetSpread: 0.02, inputMean: { value: 0, error: 1 } },
} as const;
const RESNET: KerasFamily = { name: 'resnet', normalization: 'caffe' };
const MOBILENET: KerasFamily = { name: 'mobilenet', normalization: 'tf' };

function guess(layer: keyof typeof FIRST_LAYERS, family?: KerasFamily, channels = 3) {
  const trace: InputTrace = {
    layout: 'nchw',
    channels,
    factor: [1],
    shift: [0],
    steps: [],
    reversesChannels: false,
    firstLayer: FIRST_LAYERS[layer],
    trainedOn: undefined,
  };
  const findings = new Findings();
  const usual = { normalization: 'torch', why: 'usual for PyTorch, which wrote it' } as const;
  const normalization = guessNormalization({ trace, family, channels, usual }, findings);
  return [normalization, findings.rows[0]?.certainty, findings.rows[0]?.from];
}

test('what is usual for a framework or a network is a guess', () => {
  expect(guess('ordinary')).toEqual(['torch', 'guessed', expect.stringMatching(/^usual for PyTorch.*--normalization/)]);
  expect(guess('ordinary', MOBILENET)).toEqual(['tf', 'guessed', expect.stringMatching(/^usual for mobilenet/)]);
  expect(guess('ordinary', RESNET).slice(0, 2)).toEqual(['caffe', 'guessed']);
});

test('first weights for bytes go before a name', () => {
  // A division that was folded into them.
  expect(guess('bytes', MOBILENET).slice(0, 2)).toEqual(['none', 'likely']);
  expect(guess('bytes').slice(0, 2)).toEqual(['none', 'likely']);
  // Trained on bytes as they are, though others subtract the mean.
  expect(guess('bytes', RESNET).slice(0, 2)).toEqual(['none', 'guessed']);
});

test('weights for bytes minus a mean do not show which mean, nor the order of channels', () => {
  expect(guess('centered')).toEqual(['caffe', 'guessed', expect.stringMatching(/--mean, --std and --order$/)]);
  expect(guess('centered', RESNET).slice(0, 2)).toEqual(['caffe', 'guessed']);
  expect(guess('centered', MOBILENET).slice(0, 2)).toEqual(['caffe', 'guessed']);
  // Gray has no channel order, and its mean is not known.
  expect(guess('centered', undefined, 1).slice(0, 2)).toEqual(['none', 'guessed']);
});

test('small weights alone say bytes, with or without a mean', () => {
  expect(guess('small')).toEqual(['none', 'guessed', expect.stringContaining('may have been subtracted (caffe)')]);
  expect(guess('small', RESNET).slice(0, 2)).toEqual(['caffe', 'guessed']);
});
