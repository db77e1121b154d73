import { ListModelsDocument, type ListModelsQuery } from '../generated/graphql.ts';
import type { Transport } from '../transport/client.ts';

export type Model = ListModelsQuery['models'][number];

/** The models that the server knows, the default one first. Undefined if it cannot be asked. */
export async function loadModels({ client }: Transport): Promise<readonly Model[] | undefined> {
  const { data } = await client.query(ListModelsDocument, {}).toPromise();
  return data?.models.toSorted((a, b) => Number(b.isDefault) - Number(a.isDefault));
}
