import type { ServedModel } from '@inferql/queue/contract';
import type { EngineModel, EngineName } from '../engines/engine.ts';

/** An engine that may run a model, and the files that it reads. */
export interface EngineCandidate {
  engine: EngineName;
  /** Why it is chosen, in one sentence. */
  reason: string;
  model: Omit<EngineModel, 'engine' | 'input' | 'classCount' | 'threads'>;
}

/** A model that is ready on this machine, before an engine has been chosen for it. */
export interface ServableModel extends Omit<ServedModel, 'engine' | 'engineReason'> {
  labels: readonly string[];
  /** The class names of each head of `outputs`. */
  headLabels?: Readonly<Record<string, readonly string[]>>;
  /** The engines to try, the best first. */
  candidates: EngineCandidate[];
  /** Why faster engines than the first candidate are not among the candidates, one sentence each. */
  ruledOut?: string[];
}
