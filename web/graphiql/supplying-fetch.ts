import { buildMultipart, findOpenVariables, type GraphQLParams } from './uploads.ts';

/** Provides files and ids for variables without a value. */
export interface Supply {
  /** The chosen files; asks for some if there are none. Rejects if nothing was chosen. */
  takeFiles(): Promise<readonly File[]>;
  getLastId(): string | undefined;
  setLastId(id: string): void;
}

const PREDICTION_ID = /"id"\s*:\s*"([^"]+)"/;

/**
 * A `fetch` for GraphiQL, which cannot send files: it fills in omitted Upload variables, as a multipart request, and `$id` with
 * the prediction seen last. Everything else passes through unchanged.
 */
export function createSupplyingFetch(plainFetch: typeof fetch, supply: Supply): typeof fetch {
  return async (input, init) => {
    const request = await fillIn(input, init, supply);
    const response = await plainFetch(...request);
    void rememberId(response, supply);
    return response;
  };
}

async function fillIn(
  input: Parameters<typeof fetch>[0],
  init: RequestInit | undefined,
  supply: Supply,
): Promise<Parameters<typeof fetch>> {
  if (typeof init?.body === 'string') {
    const params = JSON.parse(init.body) as GraphQLParams;
    if (typeof params.query !== 'string') return [input, init];
    const open = findOpenVariables(params);
    const filled = fillId(params, supply);
    const uploads = open.filter(({ type }) => type === 'Upload');
    if (uploads.length === 0) return [input, { ...init, body: JSON.stringify(filled) }];
    const headers = new Headers(init.headers);
    // The browser sets it, with the boundary of the parts.
    headers.delete('content-type');
    return [input, { ...init, headers, body: buildMultipart(filled, uploads, await supply.takeFiles()) }];
  }
  const url = new URL(input instanceof Request ? input.url : String(input), location.href);
  const query = url.searchParams.get('query');
  if (query === null) return [input, init];
  const filled = fillId(
    {
      query,
      operationName: url.searchParams.get('operationName'),
      variables: JSON.parse(url.searchParams.get('variables') || '{}'),
    },
    supply,
  );
  url.searchParams.set('variables', JSON.stringify(filled.variables ?? {}));
  return [url.href, init];
}

function fillId(params: GraphQLParams, supply: Supply): GraphQLParams {
  const id = supply.getLastId();
  if (id === undefined) return params;
  const isOpen = findOpenVariables(params).some(({ name, type }) => type === 'ID' && name === 'id');
  return isOpen ? { ...params, variables: { ...params.variables, id } } : params;
}

async function rememberId(response: Response, supply: Supply): Promise<void> {
  const type = response.headers.get('content-type') ?? '';
  // Introspection and queries of models contain no prediction ids; a second reader would hold event streams open.
  if (!/json|multipart\/mixed/.test(type)) return;
  const text = await response.clone().text();
  if (!text.includes('"classifyImage')) return;
  const id = PREDICTION_ID.exec(text)?.[1];
  if (id !== undefined) supply.setLastId(id);
}
