/** Error codes of models, for callers that handle them. */
export type ModelErrorCode =
  /** Not the model but the command's arguments, or an option of them. */
  | 'ARGUMENT_INVALID'
  | 'SPEC_INVALID'
  | 'SOURCE_INVALID'
  | 'SOURCE_UNREACHABLE'
  | 'INTEGRITY_MISMATCH'
  | 'MANIFEST_INVALID'
  | 'WEIGHTS_INVALID'
  | 'TOPOLOGY_INVALID'
  | 'UNSUPPORTED_OP'
  /** It did not load or answer in time, and was stopped. */
  | 'RUN_TIMEOUT'
  /** It ended the process that ran it. */
  | 'RUN_CRASHED'
  | 'RUN_OUT_OF_MEMORY'
  | 'CANCELED';

/** A model that cannot be used, with a message that an operator can act on. */
export class ModelError extends Error {
  readonly code: ModelErrorCode;

  constructor(code: ModelErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ModelError';
    this.code = code;
  }
}

/** Shapes that do not fit each other, as the converter understands them. */
export class ShapeMismatchError extends ModelError {
  constructor(message: string) {
    super('TOPOLOGY_INVALID', message);
    this.name = 'ShapeMismatchError';
  }
}

/** The model has a layer or op that the converter does not support. Another engine may still run the model. */
export class UnsupportedOpError extends ModelError {
  /** The class of the layer or the name of the op, as spelled in the model's file. */
  readonly op: string;

  constructor(op: string, detail: string) {
    super('UNSUPPORTED_OP', `the converter does not cover ${op}: ${detail}`);
    this.name = 'UnsupportedOpError';
    this.op = op;
  }
}
