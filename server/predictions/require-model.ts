import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { mayUseModel, type Principal } from '../access/principal.ts';
import type { ModelCache } from './model-cache.ts';

/**
 * The model of that name, or the default one, if the caller may use it.
 * @throws InferqlError MODEL_NOT_FOUND; UNAVAILABLE if no worker has served it for too long, or if no name is given and the default model is not served
 */
export async function requireModel(
  modelCache: ModelCache,
  { model: name, caller }: { model: string | undefined; caller: Principal },
): Promise<ServedModel> {
  const model = await modelCache.findModel(name, (candidate) => mayUseModel(caller, candidate));
  if (model) return model;
  if (name === undefined) {
    const others = (await modelCache.listModels()).some((other) => mayUseModel(caller, other.name));
    const message = others ? 'The default model is not served now.' : 'No model is served yet.';
    throw new InferqlError('UNAVAILABLE', { message, retryAfterMs: 2_000 });
  }
  if (mayUseModel(caller, name) && (await modelCache.isUnserved(name))) {
    const message = `No worker has served the model ${name} for longer than its grace period.`;
    throw new InferqlError('UNAVAILABLE', { message, retryAfterMs: 30_000 });
  }
  throw new InferqlError('MODEL_NOT_FOUND');
}
