import type { InputSpec } from '../spec/input-spec.ts';
import type { Place, Preprocessing } from './companion-files.ts';
import type { Findings } from './findings.ts';
import type { Overrides } from './overrides.ts';

type Resize = NonNullable<InputSpec['resize']>;

/** What a spec says about how images are cropped and resized. */
export interface Resizing {
  resize: Resize;
  shortSide?: number;
  stretchTo?: number;
  cover?: boolean;
  cropFraction?: number;
  padColor?: string;
}

interface Guess extends Resizing {
  /** The tool that does so. */
  because: string;
}

/** Width and height, in pixels, if neither the command line nor a file says more. */
export const DEFAULT_SIDE = 224;

/** torchvision resizes to 256 and crops 224. */
const TORCHVISION_SHARE = 224 / 256;

/**
 * Guesses how the images of a model's training were resized, by the habits of the tools that made it.
 * @param producer `generatedBy` of a model.json, `producer_name` of an ONNX file
 */
export function guessResizing(producer: string, size: { width: number; height: number }): Guess {
  if (/torch/i.test(producer)) {
    const shortSide = Math.round(Math.max(size.width, size.height) / TORCHVISION_SHARE);
    return { resize: 'pillow-bilinear', shortSide, because: "as torchvision's evaluation does" };
  }
  if (/tensorflow\.js/i.test(producer)) {
    return { resize: 'tfjs-bilinear', because: 'as TensorFlow.js does, which made it' };
  }
  if (/keras|tensorflow|tf2onnx/i.test(producer)) {
    const because = "as Keras' image_dataset_from_directory does (load_img and ImageDataGenerator: pillow-nearest)";
    return { resize: 'tensorflow-bilinear', because };
  }
  return { resize: 'pillow-bilinear', because: 'the model does not name what made it' };
}

/**
 * Chooses how images are cropped and resized: the command line overrides files next to the model, which override a
 * guess.
 */
export function chooseResizing(
  overrides: Overrides,
  preprocessing: Preprocessing | undefined,
  origin: { producer: string; width: number; height: number },
  findings: Findings,
): Resizing {
  const guess = guessResizing(origin.producer, origin);
  const compare = 'models verify compares with your notebook';
  const named = overrides.resize ?? preprocessing?.resize;
  const resize = named ?? guess.resize;
  if (overrides.resize !== undefined) findings.given('resize', resize, '--resize');
  else if (preprocessing?.resize !== undefined)
    findings.written('resize', resize, preprocessing.from, preprocessing.resizeDefault);
  else findings.guessed('resize', resize, `${guess.because}: --resize; ${compare}`);
  const place = preprocessing?.placeAt ? { ...preprocessing, ...preprocessing.placeAt(origin) } : preprocessing;
  const written = place && cropFor(place, origin);
  // A crop belongs to the guessed tool: if the user or a file names another resize, it does not apply.
  const usual = named !== undefined || guess.shortSide === undefined ? {} : { shortSide: guess.shortSide };
  const crop = overrides.shortSide === undefined ? (written ?? usual) : cropOf(overrides.shortSide, written, origin);
  if (overrides.shortSide !== undefined) findings.given('crop', describeCrop(crop), '--short-side');
  else if (place?.cropDoubt !== undefined)
    findings.guessed('crop', describeCrop(crop), `${place.cropDoubt}: --short-side; ${compare}`);
  else if (place && written) findings.written('crop', describeCrop(crop), place.from, place.cropDefault);
  else findings.guessed('crop', describeCrop(crop), `--short-side; ${compare}`);
  return { resize, ...crop };
}

type Crop = Omit<Resizing, 'resize'>;

/**
 * What a file says about cropping, which holds in proportion if the model's size is another.
 * @returns undefined if it says nothing; a file with a size and no crop stretches
 */
function cropFor(place: Place, { width, height }: { width: number; height: number }): Crop | undefined {
  const { shortSide, stretchTo, cover, cropFraction, padColor } = place;
  const facts = [place.width, place.height, shortSide, stretchTo, cover, cropFraction, padColor];
  if (facts.every((fact) => fact === undefined)) return undefined;
  const longest = Math.max(width, height);
  const written = Math.max(place.width ?? longest, place.height ?? longest);
  const scale = (side: number) => Math.round((side * longest) / written);
  const covering = (side: number) => Math.max(longest, scale(side));
  return {
    // What is too short for the crop is filled.
    ...(shortSide === undefined ? {} : { shortSide: padColor === undefined ? covering(shortSide) : scale(shortSide) }),
    ...(stretchTo === undefined ? {} : { stretchTo: covering(stretchTo) }),
    ...(cover ? { cover } : {}),
    ...(cropFraction === undefined ? {} : { cropFraction }),
    ...(padColor === undefined ? {} : { padColor }),
  };
}

/** A file's color fills what a given side is too short for. */
function cropOf(
  shortSide: number,
  written: Crop | undefined,
  { width, height }: { width: number; height: number },
): Crop {
  const isFilled = shortSide < Math.max(width, height) && written?.padColor !== undefined;
  return { shortSide, ...(isFilled ? { padColor: written.padColor } : {}) };
}

function describeCrop({ shortSide, stretchTo, cover, cropFraction, padColor }: Crop): string {
  if (shortSide !== undefined && padColor !== undefined)
    return `short side to ${shortSide}, center cropped, the rest ${padColor}`;
  if (shortSide !== undefined) return `short side to ${shortSide}, center cropped`;
  if (cover) return `largest center part${cropFraction === undefined ? '' : ` times ${cropFraction}`}, resized`;
  if (stretchTo !== undefined) return `stretched to ${stretchTo} x ${stretchTo}, center cropped`;
  return padColor === undefined ? 'stretched' : `fitted in, the rest ${padColor}`;
}
