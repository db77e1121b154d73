import type { NormalizationSpec } from '../input-spec.ts';
import { hasWeightsForBytes, readEmbedded } from '../onnx-reader/embedded-preprocessing.ts';
import { ELEMENT, type OnnxFacts } from '../onnx-reader/inputs-and-outputs.ts';
import type { Preprocessing } from './companion-files.ts';
import type { Findings } from './findings.ts';
import { findKerasFamily } from './keras-families.ts';
import { describeNormalization, type Overrides, overriddenNormalization } from './overrides.ts';

/** Which values an ONNX file takes: as the command line, its arithmetic, files beside it, its first weights or its names say, or a guess. */
export function chooseOnnxNormalization(
  facts: OnnxFacts,
  overrides: Overrides,
  preprocessing: Preprocessing | undefined,
  findings: Findings,
): { normalization: NormalizationSpec; isGuess: boolean } {
  const { input, trace } = facts;
  const take = (normalization: NormalizationSpec) => ({ normalization, isGuess: false });
  const given = overriddenNormalization(overrides);
  if (given !== undefined) {
    findings.given('normalization', describeNormalization(given), 'the command line');
    return take(given);
  }
  const embedded = readEmbedded(trace);
  if (embedded?.normalization !== undefined) {
    findings.read('normalization', describeNormalization(embedded.normalization), `the model itself ${embedded.does}`);
    return take(embedded.normalization);
  }
  if (input.type === ELEMENT.uint8 || input.type === ELEMENT.int32 || input.type === ELEMENT.int64) {
    findings.read('normalization', describeNormalization('none'), `it takes ${input.typeName}`);
    return take('none');
  }
  if (preprocessing?.normalization !== undefined) {
    findings.read('normalization', describeNormalization(preprocessing.normalization), preprocessing.from);
    return take(preprocessing.normalization);
  }
  if (hasWeightsForBytes(trace)) {
    const why = 'its first weights are as small as those of a model that takes bytes; --normalization';
    findings.likely('normalization', describeNormalization('none'), why);
    return { normalization: 'none', isGuess: true };
  }
  const channels = overrides.channels ?? input.channels ?? 3;
  const isPytorch = /pytorch/i.test(facts.producer);
  // Other frameworks name and train the same families differently.
  const family = /tf2onnx|keras/i.test(facts.producer) ? findKerasFamily(facts.nodeNames.join('\n')) : undefined;
  const normalization =
    family?.normalization ?? (channels === 3 && (isPytorch || input.layout === 'nchw') ? 'torch' : 'unit');
  const text = describeNormalization(normalization);
  const correction = '--normalization, or --mean and --std';
  if (embedded) findings.guessed('normalization', text, `the model itself ${embedded.does}; ${correction}`);
  else if (family)
    findings.likely('normalization', text, `usual for ${family.name}, as its layers are named; ${correction}`);
  else if (isPytorch && normalization === 'torch')
    findings.likely('normalization', text, `usual for PyTorch, which wrote it; ${correction}`);
  else findings.guessed('normalization', text, `nothing in the file says it; ${correction}`);
  return { normalization, isGuess: true };
}
