export type * from './answer-types.ts';
export { createClient } from './client.ts';
export type * from './client-types.ts';
export { type ErrorCode, InferqlError } from './errors.ts';
export { readValues } from './tensor-values.ts';
