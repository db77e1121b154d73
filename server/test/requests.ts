/** Sends GraphQL over HTTP, and reads answers, for tests. */

export interface Answer<T> {
  status: number;
  headers: Headers;
  data: T;
  errors?: { message: string; path?: (string | number)[]; extensions?: Record<string, unknown> }[];
}

export async function readAnswer<T>(response: Response): Promise<Answer<T>> {
  const text = await response.text();
  const body = text.startsWith('{') ? JSON.parse(text) : { data: undefined, text };
  return { status: response.status, headers: response.headers, ...body };
}

export function jsonRequest(query: string, variables: object = {}, headers: Record<string, string> = {}): RequestInit {
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      'x-graphql-yoga-csrf': '1',
      ...headers,
    },
    body: JSON.stringify({ query, variables }),
  };
}

/** One file is the variable `image`, several are `images`. */
export function uploadRequest(
  query: string,
  files: (Buffer | string)[],
  variables: object = {},
  headers: Record<string, string> = {},
): RequestInit {
  const single = !query.includes('$images');
  const form = new FormData();
  const placeholders = single ? { image: null } : { images: files.map(() => null) };
  form.set('operations', JSON.stringify({ query, variables: { ...variables, ...placeholders } }));
  form.set(
    'map',
    JSON.stringify(
      Object.fromEntries(files.map((_, i) => [i, [single ? 'variables.image' : `variables.images.${i}`]])),
    ),
  );
  files.forEach((file, i) => {
    form.set(String(i), new Blob([typeof file === 'string' ? file : new Uint8Array(file)]), `file-${i}`);
  });
  return {
    method: 'POST',
    headers: { 'x-graphql-yoga-csrf': '1', accept: 'application/json', ...headers },
    body: form,
  };
}
