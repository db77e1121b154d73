import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSchema, createYoga } from 'graphql-yoga';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGraphiqlPage } from './graphiql.ts';
import { useWebPage } from './web-page.ts';

let webDir: string;

beforeEach(() => {
  webDir = mkdtempSync(join(tmpdir(), 'inferql-page-'));
});

afterEach(() => rmSync(webDir, { recursive: true, force: true }));

/** Sends the request of a browser that opens a page. */
async function open(path: string, graphiql: boolean): Promise<Response> {
  const app = createYoga({
    schema: createSchema({ typeDefs: 'type Query { a: Int }' }),
    landingPage: false,
    graphiql,
    renderGraphiQL: createGraphiqlPage(webDir),
    plugins: [useWebPage(webDir, pino({ level: 'silent' }))],
    logging: false,
  });
  return app.fetch(`http://localhost${path}`, { headers: { accept: 'text/html' } });
}

test("GraphiQL's page is served at /graphql only, and not at all if it is switched off", async () => {
  writeFileSync(join(webDir, 'index.html'), 'the page');
  writeFileSync(join(webDir, 'graphiql.html'), 'the playground');
  expect(await (await open('/graphql', true)).text()).toBe('the playground');
  expect(await (await open('/', true)).text()).toBe('the page');
  for (const [path, graphiql] of [
    ['/graphiql.html', true],
    ['/graphiql.html', false],
    ['/graphql', false],
  ] as const) {
    expect(await (await open(path, graphiql)).text()).not.toContain('the playground');
  }
});

test('a page that is not built says so', async () => {
  expect(await (await open('/graphql', true)).text()).toContain('INFERQL_WEB_DIR');
});
