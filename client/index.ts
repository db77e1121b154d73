export type * from './answers/answer-types.ts';
export { readValues } from './answers/tensor-values.ts';
export { createClient } from './client.ts';
export type * from './client-types.ts';
export { type ErrorCode, InferqlError } from './errors.ts';
