import type { InputSpec } from '../spec/input-spec.ts';
import type { Preprocessing } from './companion-files.ts';
import type { Findings } from './findings.ts';
import type { Overrides } from './overrides.ts';

type Resize = NonNullable<InputSpec['resize']>;

/** What a spec says about how images are cropped and resized. */
export interface Resizing {
  resize: Resize;
  shortSide?: number;
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
 * Chooses how images are cropped and resized: the command line overrides files beside the model, which override a
 * guess.
 * @param readShortSide the short side from files beside the model, for the size of the model
 */
export function chooseResizing(
  overrides: Overrides,
  { preprocessing, readShortSide }: { preprocessing: Preprocessing | undefined; readShortSide: number | undefined },
  origin: { producer: string; width: number; height: number },
  findings: Findings,
): Resizing {
  const guess = guessResizing(origin.producer, origin);
  const compare = 'models verify compares with your notebook';
  const resize = overrides.resize ?? preprocessing?.resize ?? guess.resize;
  if (overrides.resize !== undefined) findings.given('resize', resize, '--resize');
  else if (preprocessing?.resize !== undefined) findings.read('resize', resize, preprocessing.from);
  else findings.guessed('resize', resize, `${guess.because}: --resize; ${compare}`);
  // A crop belongs to the guessed tool: if the user names another resize, it does not apply.
  const guessedSide = preprocessing || overrides.resize !== undefined ? undefined : guess.shortSide;
  const shortSide = overrides.shortSide ?? readShortSide ?? guessedSide;
  const crop = shortSide === undefined ? 'stretched' : `short side to ${shortSide}, center cropped`;
  if (overrides.shortSide !== undefined) findings.given('crop', crop, '--short-side');
  else if (preprocessing) findings.read('crop', crop, preprocessing.from);
  else findings.guessed('crop', crop, `--short-side; ${compare}`);
  return { resize, ...(shortSide === undefined ? {} : { shortSide }) };
}
