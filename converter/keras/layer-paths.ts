import type { LayersModel } from '../tfjs/topology.ts';

/** Where a .keras file keeps the weights of a layer. */
export interface LayerPath {
  /** Names of the models that the layer is in, from the outside. */
  scope: string[];
  layer: string;
  className: string;
  /** Below the root of model.weights.h5. */
  path: string;
}

/** What different versions call the group of a model's layers. */
export const LAYER_GROUPS = ['layers', '_layer_checkpoint_dependencies'] as const;

/**
 * Where the layers of a model are. Keras does not use their names, but counts the layers of each class: conv2d, conv2d_1, …
 * Operations that are not layers are not counted.
 * @param group what this file calls the group of a model's layers
 */
export function layerPaths(
  model: LayersModel,
  group: string,
  isOperation: (className: string) => boolean,
): LayerPath[] {
  const paths: LayerPath[] = [];
  const visit = (inner: LayersModel, scope: string[], base: string): void => {
    const counts = new Map<string, number>();
    for (const { name, className, module, model } of inner.layers) {
      if (name.endsWith(':input') || /\bops\b/.test(module ?? '') || isOperation(className)) continue;
      const short = toSnakeCase(className);
      const count = counts.get(short) ?? 0;
      counts.set(short, count + 1);
      const path = `${base}${group}/${short}${count === 0 ? '' : `_${count}`}`;
      if (model) visit(model, [...scope, name], `${path}/`);
      else paths.push({ scope, layer: name, className, path });
    }
  };
  visit(model, [], '');
  return paths;
}

/** Keras' rule: GlobalAveragePooling2D becomes global_average_pooling2d. */
export function toSnakeCase(name: string): string {
  return name
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
}
