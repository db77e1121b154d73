import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, expect, test } from 'vitest';

let system: TestSystem;

beforeAll(async () => {
  system = await startSystem();
});

afterAll(() => system?.end());

// They send their requests only when they run, so that each can be a separate test before there is a server.
const audits = serverAudits({ url: () => `${system.url}/graphql`, fetchFn: fetch });

test.each(audits.map((audit) => [audit.name, audit] as const))('GraphQL over HTTP: %s', async (_, audit) => {
  expect(await audit.fn()).toMatchObject({ status: 'ok' });
});
