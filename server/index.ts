/** Exports for programs that embed the server. */

export type { Credentials, CustomAuthenticate, CustomCaller } from './access/custom-authentication.ts';
export { createInferQL } from './embed/create-inferql.ts';
export type { InlineOptions } from './embed/inline.ts';
export type { Limits } from './embed/options.ts';
export { toSubgraph } from './embed/subgraph.ts';
export type { InferQL, InferQLOptions, PredictionEvent, SubmitOptions } from './embed/types.ts';
export { maskError } from './http/operations/error-mask.ts';
export type { AdmissionDecision, AdmissionRequest, Hooks } from './predictions/host-hooks.ts';
