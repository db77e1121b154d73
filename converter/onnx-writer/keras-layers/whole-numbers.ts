import { UnsupportedOpError } from '../../errors.ts';
import { type Call, type Dialect, type TensorRef, tensorsOf } from '../../tfjs/call-arguments.ts';
import { firstCalls, type Layer, type LayersModel } from '../../tfjs/topology.ts';
import { isFloat } from './config.ts';
import { TRAINING_ONLY_LAYERS } from './training-only.ts';

/** The type of a tensor of whole numbers; undefined for floats. */
type WholeType = string | undefined;

/** Types that hold every pixel. */
const WHOLE_TYPES = new Set(['uint8', 'uint16', 'uint32', 'int16', 'int32', 'int64']);

/** Layers that make floats of whole numbers before they compute. Each was tried with Keras 2.15 and 3.15. */
const MAKE_FLOATS = new Set([
  'BatchNormalization',
  'CenterCrop',
  'Dense',
  'Normalization',
  'RandomFlip',
  'RandomRotation',
  'RandomTranslation',
  'RandomZoom',
  'Rescaling',
]);
const MAKE_FLOATS_IN_KERAS_2 = new Set(['LayerNormalization', 'RandomBrightness', 'RandomContrast', 'Resizing']);
/** Keras 3 rounds the pixels of a bilinear Resizing in `model(x)`, and not in `model.predict(x)`: neither answer is the right one. */
const MAKE_FLOATS_IN_KERAS_3 = new Set(['GlobalAveragePooling2D', 'Mean']);
/** Divisions are those of floats; a cast to another type is refused with its dtype. */
const FLOAT_OPERATIONS = /^(.*\.)?(cast|divide|truediv|truedivide)$/;

/** Layers and operations whose results are some of the numbers that they get. */
const MOVE_NUMBERS = new Set([
  'Cropping2D',
  'Flatten',
  'GetItem',
  'GlobalMaxPooling2D',
  'MaxPooling2D',
  'Permute',
  'Reshape',
  'SlicingOpLambda',
  'ZeroPadding2D',
  ...Object.keys(TRAINING_ONLY_LAYERS),
]);

/**
 * Everything is computed in floats here. That is the same as in Keras if a model turns its whole numbers into floats first.
 * @throws UnsupportedOpError naming a layer that would compute in whole numbers, which wrap around and are divided without a rest
 */
export function requireFloats(model: LayersModel, dialect: Dialect): void {
  typesOfOutputs(model, dialect, undefined);
}

/** What `tf.where(condition, 1, 0)` may be: Keras 2 writes 1 and 1.0, which JSON takes for the same. */
const PERHAPS = 'int32 (perhaps)';

/** A choice between two constants without fractions. */
function isChoiceOfWhole({ className, config }: Layer, { args, kwargs }: Call): boolean {
  if (className !== 'TFOpLambda' || !/^(.*\.)?where(_v2)?$/.test(String(config.function))) return false;
  const choices = [args[1] ?? kwargs.get('x'), args[2] ?? kwargs.get('y')];
  return choices.every((choice) => choice && 'value' in choice && Number.isInteger(choice.value));
}

/** Whether whole numbers lose the rest of a division. */
function divides({ className, config }: Layer): boolean {
  if (className === 'TFOpLambda') return /reduce_(mean|variance|std)|floor_?div/.test(String(config.function));
  return /AveragePooling/.test(className);
}

/** @param given types of the inputs of a nested model; the outer one gets what it declares */
function typesOfOutputs(model: LayersModel, dialect: Dialect, given: readonly WholeType[] | undefined): WholeType[] {
  const byName = new Map(model.layers.map((layer) => [layer.name, layer]));
  const first = firstCalls(model);
  const inputs = model.inputs.map(({ layer }) => layer);
  const known = new Map<string, WholeType>();
  const typeOf = (ref: TensorRef): WholeType => {
    const layer = byName.get(ref.layer);
    const call = layer?.calls[ref.call - (first.get(ref.layer) ?? 0)];
    const key = `${ref.call}:${ref.output}:${ref.layer}`;
    if (!layer || known.has(key)) return known.get(key);
    // A loop, which the conversion refuses, ends here.
    known.set(key, undefined);
    const at = inputs.indexOf(ref.layer);
    const type = at >= 0 ? inputType(layer, given && { type: given[at] }) : call && resultType(layer, call, ref.output);
    known.set(key, type);
    return type;
  };
  const resultType = (layer: Layer, call: Call, output: number): WholeType => {
    const types = tensorsOf(call).map(typeOf);
    if (layer.model) return typesOfOutputs(layer.model, dialect, types)[output];
    if (isChoiceOfWhole(layer, call)) return PERHAPS;
    const type = types.find((item) => item !== undefined);
    if (type === undefined || makesFloats(layer, dialect)) return undefined;
    // A float next to it shows that it is one, too.
    if (type === PERHAPS && types.includes(undefined)) return undefined;
    if (type === PERHAPS && !divides(layer)) return type;
    const isNearest = layer.className === 'Resizing' && layer.config.interpolation === 'nearest';
    if (isNearest || MOVE_NUMBERS.has(layer.className)) return type;
    throw new UnsupportedOpError(
      `dtype ${type}`,
      `layer ${layer.name} (${layer.className}) would compute in whole numbers. Give the model an input of float32, or put ` +
        'Rescaling(1.0) in front of this layer',
    );
  };
  for (const { name, calls } of model.layers) {
    const from = first.get(name) ?? 0;
    if (inputs.includes(name)) typeOf({ layer: name, call: from, output: 0 });
    calls.forEach((_, i) => {
      typeOf({ layer: name, call: from + i, output: 0 });
    });
  }
  return model.outputs.map(typeOf);
}

function makesFloats({ className, config }: Layer, dialect: Dialect): boolean {
  const isThree = dialect === 'keras3';
  if (MAKE_FLOATS.has(className)) return true;
  if ((isThree ? MAKE_FLOATS_IN_KERAS_3 : MAKE_FLOATS_IN_KERAS_2).has(className)) return true;
  return FLOAT_OPERATIONS.test(className === 'TFOpLambda' ? String(config.function) : className.toLowerCase());
}

/** Keras casts what a nested model gets to the type of its input. */
function inputType({ name, config }: Layer, given: { type: WholeType } | undefined): WholeType {
  if (isFloat(config.dtype)) return undefined;
  const type = typeof config.dtype === 'string' ? config.dtype : JSON.stringify(config.dtype);
  if (!WHOLE_TYPES.has(type)) throw new UnsupportedOpError(`dtype ${type}`, `layer ${name}`);
  if (given && given.type !== type) {
    throw new UnsupportedOpError(
      `dtype ${type}`,
      `layer ${name} would cut off decimals. Give the nested model an input of float32`,
    );
  }
  return type;
}
