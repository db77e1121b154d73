/** Every operation by every kind of caller over every transport, as one table. */

import { newPredictionId } from '@inferql/queue/contract';
import { Producer } from '@inferql/queue/predictions/producer';
import { collect, openSocket, type Socket, subscribeSse } from '@inferql/testing/system/graphql-client';
import { createClient } from 'graphql-ws';
import { beforeEach, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { schema } from '../../schema/schema.ts';
import { bearer, startGuardedServer } from '../callers.ts';
import { open } from '../http-harness.ts';
import { uploadRequest } from '../requests.ts';
import { atEnd, ENQUEUE, paint, startWorker } from '../server-harness.ts';

const CALLERS = ['nobody', 'revoked', 'infer', 'read', 'both', 'operate', 'tokens', 'stranger'] as const;
type Kind = (typeof CALLERS)[number];

/** `ok`, `null` or the code of the error. The prediction belongs to alice, as do all callers except the stranger, who is bob. */
const TABLE: Record<string, { query: string; outcomes: Record<Exclude<Kind, 'nobody' | 'revoked'>, string> }> = {
  'Mutation.classifyImage': {
    query: ENQUEUE,
    outcomes: expectOutcomes('ok F ok F F ok'),
  },
  'Mutation.classifyImages': {
    query: 'mutation ($images: [Upload!]!) { classifyImages(images: $images) { ... on Prediction { id } } }',
    outcomes: expectOutcomes('ok F ok F F ok'),
  },
  'Mutation.cancelPrediction': {
    query: 'mutation ($id: ID!) { cancelPrediction(id: $id) { status } }',
    outcomes: expectOutcomes('ok F ok F F null'),
  },
  'Mutation.createToken': {
    query: 'mutation { createToken(scopes: [READ]) { expiresAt } }',
    // The key with the scope `tokens` may create tokens, but it has no other scope to pass on.
    outcomes: expectOutcomes('F F F F F F'),
  },
  'Query.prediction': {
    query: 'query ($id: ID!) { prediction(id: $id) { id } }',
    outcomes: expectOutcomes('F ok ok F F null'),
  },
  'Subscription.prediction': {
    query: 'subscription ($id: ID!) { prediction(id: $id) { id } }',
    outcomes: expectOutcomes('F ok ok F F NOT_FOUND'),
  },
  'Query.models': { query: '{ models { name } }', outcomes: expectOutcomes('F ok ok F F ok') },
  'Query.model': { query: '{ model(name: "tiny") { name } }', outcomes: expectOutcomes('F ok ok F F ok') },
  'Query.queue': { query: '{ queue { waiting } }', outcomes: expectOutcomes('F ok ok F F ok') },
  'Subscription.queue': { query: 'subscription { queue { waiting } }', outcomes: expectOutcomes('F ok ok F F ok') },
  'Query.limits': { query: '{ limits { maxImages } }', outcomes: expectOutcomes('ok ok ok ok ok ok') },
  'Query.viewer': { query: '{ viewer { tenant } }', outcomes: expectOutcomes('ok ok ok ok ok ok') },
  'Query.__schema': {
    query: '{ __schema { queryType { name } } }',
    outcomes: expectOutcomes('F F F ok F F'),
  },
  'Query.__type': {
    query: 'query { ...A } fragment A on Query { ... { __type(name: "Query") { name } } }',
    outcomes: expectOutcomes('F F F ok F F'),
  },
};

function expectOutcomes(line: string) {
  const [infer, read, both, operate, tokens, stranger] = line
    .split(' ')
    .map((word) => (word === 'F' ? 'FORBIDDEN' : word)) as [string, string, string, string, string, string];
  return { infer, read, both, operate, tokens, stranger };
}

interface Result {
  data?: Record<string, unknown> | null;
  errors?: { extensions?: { code?: unknown } }[];
}

function outcomeOf(result: Result | undefined): string {
  if (!result) return 'nothing';
  if (result.errors) return String(result.errors[0]!.extensions?.code);
  return Object.values(result.data ?? {})[0] === null ? 'null' : 'ok';
}

let url: string;
let id: string;
let headers: Record<Kind, Record<string, string>>;
let upload: (query: string, kind: Kind, accept: string) => Promise<Response>;

beforeEach(async () => {
  const { server, makeKey, store } = await startGuardedServer();
  const worker = await startWorker(server.prefix);
  worker.claiming.close();
  url = await open(server);
  const revoked = await makeKey();
  await store.revoke(revoked.id);
  const of = async (...scopes: ('infer' | 'read' | 'operate' | 'tokens')[]) => (await makeKey({ scopes })).headers;
  headers = {
    nobody: {},
    revoked: bearer(revoked.text),
    infer: await of('infer'),
    read: await of('read'),
    both: await of('infer', 'read'),
    operate: await of('operate'),
    tokens: await of('tokens'),
    stranger: (await makeKey({ tenant: 'bob' })).headers,
  };
  const { data } = await server.upload<{ classifyImage: { id: string } }>(ENQUEUE, [await paint(1)], {}, headers.both);
  id = data.classifyImage.id;
  upload = async (query, kind, accept) =>
    fetch(`${url}/graphql`, uploadRequest(query, [await paint(2)], {}, { ...headers[kind], accept }));
});

const isUpload = (query: string) => query.includes('Upload');
const operationOf = (query: string) => ({ query, variables: query.includes('$id') ? { id } : {} });

const transports: Record<string, (query: string, kind: Kind) => Promise<string>> = {
  async http(query, kind) {
    const response = isUpload(query)
      ? await upload(query, kind, 'application/json')
      : await fetch(`${url}/graphql`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json',
            'x-graphql-yoga-csrf': '1',
            ...headers[kind],
          },
          body: JSON.stringify(operationOf(query)),
        });
    const outcome = outcomeOf((await response.json()) as Result);
    const status = { UNAUTHENTICATED: 401, FORBIDDEN: 403 }[outcome] ?? 200;
    expect(response.status, `${query} as ${kind}: ${outcome}`).toBe(status);
    return outcome;
  },

  async sse(query, kind) {
    if (isUpload(query)) {
      const text = await (await upload(query, kind, 'text/event-stream')).text();
      return outcomeOf(JSON.parse(/^\{.*\}|(?<=^data: ).*$/m.exec(text)![0]));
    }
    const leaving = new AbortController();
    const events = subscribeSse<Record<string, unknown>>(url, operationOf(query), leaving.signal, headers[kind]);
    const { value } = await events.next();
    leaving.abort();
    return outcomeOf(value ?? undefined);
  },

  async webSocket(query, kind) {
    const client = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: headers[kind],
      retryAttempts: 0,
    });
    atEnd(() => client.dispose());
    try {
      const { value } = await client.iterate<Record<string, unknown>>(operationOf(query)).next();
      return outcomeOf(value as Result);
    } catch (error) {
      if (Array.isArray(error)) return outcomeOf({ errors: error });
      return (error as { code: number }).code === 4401 ? 'UNAUTHENTICATED' : String(error);
    } finally {
      await client.dispose();
    }
  },
};

describe.each(Object.keys(transports))('over %s', (transport) => {
  test('each operation answers each caller as the table says', async () => {
    const ask = transports[transport]!;
    const found: Record<string, Record<string, string>> = {};
    const wanted: Record<string, Record<string, string>> = {};
    for (const [field, { query, outcomes }] of Object.entries(TABLE)) {
      if (transport === 'http' && query.startsWith('subscription')) continue;
      // A WebSocket carries no files.
      if (transport === 'webSocket' && isUpload(query)) continue;
      wanted[field] = { nobody: 'UNAUTHENTICATED', revoked: 'UNAUTHENTICATED', ...outcomes };
      found[field] = {};
      // Canceled last: the others read it while it waits.
      for (const kind of CALLERS) found[field][kind] = await ask(query, kind);
    }
    expect(found).toEqual(wanted);
  });
});

test('the table has every field through which a caller gets in', () => {
  const fields = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.keys(type!.getFields()).map((field) => `${type!.name}.${field}`),
  );
  expect(Object.keys(TABLE).sort()).toEqual([...fields, 'Query.__schema', 'Query.__type'].sort());
});

test('one operation with an allowed and a forbidden field does nothing', async () => {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-graphql-yoga-csrf': '1', ...headers.infer },
    body: JSON.stringify({ query: `{ viewer { tenant } models { name } }` }),
  });
  expect(response.status).toBe(403);
  expect(await response.json()).not.toHaveProperty('data');
});

test('a stranger’s cancel leaves the prediction as it is', async () => {
  const cancel = TABLE['Mutation.cancelPrediction']!.query;
  expect(await transports.http!(cancel, 'stranger')).toBe('null');
  const socket: Socket = openSocket(url, headers.read);
  atEnd(() => socket.close());
  const [state] = await collect(
    socket.subscribe<{ prediction: { status: string } }>({
      query: 'query ($id: ID!) { prediction(id: $id) { status } }',
      variables: { id },
    }),
  );
  expect(state!.data!.prediction.status).toBe('QUEUED');
});

test('of 10,000 reads by ten tenants of a thousand predictions, each finds its own and no other', async () => {
  const { server, makeKey } = await startGuardedServer();
  const { model } = await startWorker(server.prefix, { queue: { maxQueueSize: 2_000 } }, { idle: true });
  const producer = new Producer(server.redis, { prefix: server.prefix });
  const tenants = Array.from({ length: 10 }, (_, i) => `tenant${i}`);
  const owners = new Map<string, string>();
  for (let n = 0; n < 1_000; n++) {
    const tenant = tenants[n % tenants.length]!;
    const made = newPredictionId(model.name);
    owners.set(made, tenant);
    await producer.admit({
      id: made,
      model,
      image: Buffer.alloc(192, n % 251),
      options: { heatmap: false },
      priority: 'NORMAL',
      timeoutMs: 60_000,
      caller: { tenant, keyId: undefined, weight: 1 },
      share: false,
      cacheTtlMs: 0,
    });
  }
  const ids = [...owners.keys()];
  const wrong: string[] = [];
  await Promise.all(
    tenants.map(async (tenant) => {
      const key = await makeKey({ tenant });
      for (let from = 0; from < ids.length; from += 25) {
        const batch = ids.slice(from, from + 25);
        const fields = batch.map((each, i) => `p${i}: prediction(id: "${each}") { id }`).join(' ');
        const { data } = await server.query<Record<string, unknown>>(`{ ${fields} }`, {}, key.headers);
        batch.forEach((each, i) => {
          if ((data[`p${i}`] !== null) !== (owners.get(each) === tenant)) wrong.push(`${each} by ${tenant}`);
        });
      }
    }),
  );
  expect(wrong).toEqual([]);
});
