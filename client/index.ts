export type * from './api.ts';
export { createClient } from './client.ts';
export { type ErrorCode, InferqlError } from './errors.ts';
export type * from './types.ts';
export { readValues } from './values.ts';
