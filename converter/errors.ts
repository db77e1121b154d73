/** What went wrong with a model, for callers that choose what to do next. */
export type ModelErrorCode =
  | 'SPEC_INVALID'
  | 'SOURCE_INVALID'
  | 'SOURCE_UNREACHABLE'
  | 'INTEGRITY_MISMATCH'
  | 'MANIFEST_INVALID'
  | 'WEIGHTS_INVALID'
  | 'TOPOLOGY_INVALID'
  | 'UNSUPPORTED_OP'
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

/** The converter met a layer or op that it does not know; another engine may still run the model. */
export class UnsupportedOpError extends ModelError {
  /** The class of the layer or the name of the op, as the model's file spells it. */
  readonly op: string;

  constructor(op: string, detail: string) {
    super('UNSUPPORTED_OP', `the converter does not cover ${op}: ${detail}`);
    this.name = 'UnsupportedOpError';
    this.op = op;
  }
}
