import { type InputSpec, NORMALIZATIONS, type NormalizationSpec } from '../spec/input-spec.ts';
import { NAMED_NORMALIZATIONS, normalizationOf, type OwnNormalization } from '../spec/normalization.ts';

const BYTE = 1 / 255;

/**
 * The usual ways to normalize, each once: the spec's, the named ones, the spec's numbers with another scale, then all of these with the
 * other order of colors, of the numbers, or of both.
 */
export function listNormalizations({ normalization, channels }: InputSpec): NormalizationSpec[] {
  const named = NORMALIZATIONS.filter((name) => channels !== 4 || NAMED_NORMALIZATIONS[name].mean.length === 1);
  const own = typeof normalization === 'object' ? [normalization] : [];
  const scaled = own.flatMap((numbers) => [BYTE, 1].map((scale) => ({ ...numbers, scale })));
  const bases = [...own, ...scaled, ...named.map((name) => NAMED_NORMALIZATIONS[name])];
  const reordered =
    channels === 3 ? [flipOrder, reverseNumbers, (one: OwnNormalization) => flipOrder(reverseNumbers(one))] : [];
  const others = reordered.flatMap((change) => bases.map(change));
  const distinct = new Map<string, NormalizationSpec>();
  for (const one of [normalization, ...named, ...scaled, ...others]) {
    const key = arithmeticKey(one, channels);
    if (!distinct.has(key)) distinct.set(key, one);
  }
  return [...distinct.values()];
}

const flipOrder = (one: OwnNormalization): OwnNormalization => ({ ...one, order: one.order === 'rgb' ? 'bgr' : 'rgb' });

const reverseNumbers = (one: OwnNormalization): OwnNormalization => ({
  ...one,
  mean: one.mean.toReversed(),
  std: one.std.toReversed(),
});

/** The same for two ways to write the same arithmetic. */
function arithmeticKey(normalization: NormalizationSpec, channels: InputSpec['channels']): string {
  const { mean, scale, reverseChannels } = normalizationOf({ normalization, channels });
  return JSON.stringify(
    [mean, scale].map((values) => values.map((value) => value.toPrecision(6))).concat([[`${reverseChannels}`]]),
  );
}

/** As a spec writes it, without defaults. */
export function describeNormalization(normalization: NormalizationSpec): string {
  if (typeof normalization === 'string') return `'${normalization}'`;
  const { scale, mean, std, order } = normalization;
  const fields = [
    ...(scale === BYTE ? [] : [`scale: ${scale}`]),
    ...(mean.every((value) => value === 0) ? [] : [`mean: [${mean.join(', ')}]`]),
    ...(std.every((value) => value === 1) ? [] : [`std: [${std.join(', ')}]`]),
    ...(order === 'rgb' ? [] : [`order: '${order}'`]),
  ];
  return fields.length === 0 ? "'unit'" : `{ ${fields.join(', ')} }`;
}
