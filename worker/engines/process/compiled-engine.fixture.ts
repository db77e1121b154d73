/** Shared by tests that run engines as a worker does: in processes of compiled code. */
import { join } from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { pino } from 'pino';
import type { ServableModel } from '../../serving/servable-model.ts';
import type { EngineModel, EngineName } from '../engine.ts';
import { type SupervisedEngine, startSupervisedEngine } from './supervised-engine.ts';

let build: Promise<string> | undefined;

/** The folder with the compiled packages. Call it before the tests: the first call may take as long as a build. */
export function buildEngines(): Promise<string> {
  build ??= buildSystem();
  return build;
}

/** What a worker passes to the process of an engine. @throws if the engine is not among the model's candidates */
export function engineModelOf(model: ServableModel, engine: EngineName, threads = 1): EngineModel {
  const candidate = model.candidates.find((one) => one.engine === engine);
  if (!candidate) throw new Error(`${engine} does not run ${model.name}`);
  return { engine, input: model.input, classCount: model.classCount, threads, ...candidate.model };
}

export async function startCompiledEngine(
  model: EngineModel,
  timeLimitMs = 60_000,
  loadLimitMs = 120_000,
): Promise<SupervisedEngine> {
  const childPath = join(await buildEngines(), 'worker/engines/process/engine-process-main.js');
  return startSupervisedEngine({ model, timeLimitMs, loadLimitMs, log: pino({ level: 'silent' }), childPath });
}
