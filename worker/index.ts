/** Exports for programs that embed a worker, and for the code of a model. */

export type { ModelDefinition, WorkerOptions } from './embed/options.ts';
export { type RunningWorker, startWorker } from './embed/start-worker.ts';
export type {
  ModelModule,
  ModuleBatch,
  ModuleContext,
  ModuleModel,
  ModuleOutput,
  Postprocess,
  RowChanges,
  RowOutput,
} from './engines/custom/types.ts';
export { defineModel } from './engines/custom/types.ts';
