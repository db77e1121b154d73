/** Exports for the code of a model. */

export type {
  ModelModule,
  ModuleBatch,
  ModuleContext,
  ModuleModel,
  ModuleOutput,
  Postprocess,
  RowChanges,
  RowOutput,
} from './engines/module/types.ts';
export { defineModel } from './engines/module/types.ts';
