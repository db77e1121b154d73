/** Parts of a prepared model's version. */

/** Changes whenever the files that the converter writes change, so that old ones are not used any more. */
export const CONVERTER_VERSION = 12;

/** Changes whenever the files that `wrapOnnx` writes, or refuses to write, change. */
export const WRAPPER_VERSION = 6;
