/**
 * What a caller may do. `infer`: send images and cancel predictions. `read`: read and follow predictions, models and queues.
 * `operate`: see dead letters, counts over all tenants and the schema. `tokens`: make tokens for browsers.
 */
import * as z from 'zod';

export const SCOPES = ['infer', 'read', 'operate', 'tokens'] as const;
export const Scope = z.enum(SCOPES);
export type Scope = z.infer<typeof Scope>;
