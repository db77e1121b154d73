/** What the code of a model imports. */

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
