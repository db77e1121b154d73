import { UnsupportedOpError } from '../../errors.ts';
import type { Weight } from '../../tfjs/weights.ts';
import { floatTensor, type Tensor } from '../graph/graph.ts';
import type { LayerConfig } from './config.ts';

/**
 * Finds layers' weights by name. Converters differ in what precedes `layer/weight` (scopes of nested models) and
 * between the two (TF 2.2 repeats the cell's name), and some append ":0".
 */
export class WeightIndex<W extends { name: string } = Weight> {
  readonly #byEnds = new Map<string, W[]>();
  readonly #unused: Set<W>;

  constructor(weights: Iterable<W>) {
    this.#unused = new Set(weights);
    for (const weight of this.#unused) {
      const tokens = tokensOf(weight.name);
      const last = (tokens.at(-1) ?? '').replace(/^variable_\d+$/, 'variable');
      for (const token of new Set(tokens.slice(0, -1))) {
        const key = `${token}/${last}`;
        this.#byEnds.set(key, [...(this.#byEnds.get(key) ?? []), weight]);
      }
      // A layer's name may contain slashes.
      const full = tokens.join('/');
      if (!this.#byEnds.has(full)) this.#byEnds.set(full, [weight]);
    }
  }

  /** A weight that converters give no layer's name, as they do for an adapted Normalization; undefined if there is none. */
  findUnnamed(name: string): W | undefined {
    const weight = [...this.#unused].find((candidate) => tokensOf(candidate.name).join('/') === name);
    if (weight) this.#unused.delete(weight);
    return weight;
  }

  /** The weight of a layer inside the models of `scope`, under the first of `names` that there is. */
  find(scope: readonly string[], layer: string, names: readonly string[]): W | undefined {
    for (const name of names) {
      const candidates = this.#byEnds.get(`${layer}/${name}`);
      if (!candidates) continue;
      const exact = candidates.find((weight) => tokensOf(weight.name).join('/') === `${layer}/${name}`);
      const best = candidates
        .map((weight) => ({ weight, score: scoreOf(tokensOf(weight.name), scope, layer) }))
        .sort((a, b) => b.score - a.score)[0];
      const chosen = scope.length === 0 && exact ? exact : best?.weight;
      if (!chosen) continue;
      this.#unused.delete(chosen);
      return chosen;
    }
    return undefined;
  }

  /**
   * Call it when every layer has been converted.
   * @throws UnsupportedOpError naming a weight that no layer has read, which means that something was skipped
   */
  requireAllUsed(): void {
    for (const { name } of this.#unused) {
      if (!FOR_TRAINING.test(name)) throw new UnsupportedOpError(`weight ${name}`, 'no layer reads it');
    }
  }
}

/** States of random generators and of optimizers, and how many images a Normalization has seen. */
const FOR_TRAINING = /seed_generator|(^|\/)(optimizer|training)\/|(^|\/)count(:0)?$/;

/** The weights of a layer in the order that Keras 3 numbers them in. */
export function orderOf(className: string, config: LayerConfig): string[] {
  switch (className) {
    case 'BatchNormalization':
      return [
        ...(config.boolean('scale', true) ? ['gamma'] : []),
        ...(config.boolean('center', true) ? ['beta'] : []),
        'moving_mean',
        'moving_variance',
      ];
    case 'GroupNormalization':
    case 'LayerNormalization':
      return [...(config.boolean('scale', true) ? ['gamma'] : []), 'beta'];
    case 'SeparableConv2D':
      return ['depthwise_kernel', 'pointwise_kernel', 'bias'];
    case 'DepthwiseConv2D':
      return ['depthwise_kernel', 'bias'];
    case 'Normalization':
      return ['mean', 'variance', 'count'];
    case 'LayerScale':
      return ['gamma'];
    case 'RMSNormalization':
      return ['scale'];
    case 'PReLU':
      return ['alpha'];
    default:
      return ['kernel', 'bias'];
  }
}

/** Every name that converters give a layer's weight: Keras 3 calls a depthwise kernel a kernel, or numbers weights. */
export function namesOf(className: string, name: string, config: LayerConfig): string[] {
  const number = String(orderOf(className, config).indexOf(name));
  const short = className === 'DepthwiseConv2D' && name === 'depthwise_kernel' ? ['kernel'] : [];
  // Keras 3 leaves the name of this one to chance.
  const unnamed = className === 'LayerScale' ? ['variable'] : [];
  return [name, ...short, ...unnamed, number];
}

function tokensOf(name: string): string[] {
  return name.replace(/:0$/, '').split('/');
}

/** How well a weight's path matches the models that the layer is in. */
function scoreOf(tokens: readonly string[], scope: readonly string[], layer: string): number {
  const path = tokens.slice(0, -1);
  const outer = path.slice(0, path.lastIndexOf(layer));
  const matched = outer.filter((token) => scope.includes(token)).length;
  return matched * 2 - outer.length - (path.length - path.lastIndexOf(layer)) * 0.1;
}

/** A weight as a constant of the graph. */
export function toTensor({ shape, data }: Weight): Tensor {
  return floatTensor(shape, data instanceof Float32Array ? data : Float32Array.from(data));
}
