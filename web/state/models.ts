import type { Model } from '@inferql/client';
import type { Api } from './api.ts';

/** The models that the server knows, the default one first. Undefined if it cannot be asked. */
export async function loadModels({ client }: Api): Promise<readonly Model[] | undefined> {
  const models = await client.models({ retryForMs: 0 }).catch(() => undefined);
  return models?.toSorted((a, b) => Number(b.isDefault) - Number(a.isDefault));
}
