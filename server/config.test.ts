import { resolve } from 'node:path';
import { ModelName } from '@inferql/queue/contract';
import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

test('without settings the documented defaults apply', () => {
  expect(readConfig({})).toMatchObject({
    port: 4000,
    host: '127.0.0.1',
    prefix: 'inferql',
    stateDir: resolve('.inferql'),
    maxUploadBytes: 10 * 1024 * 1024,
    maxPixels: 64_000_000,
    maxWaitMs: 60_000,
    share: true,
    graphiql: true,
    introspection: true,
    cancelAbandoned: true,
    corsOrigins: [],
    defaultModel: undefined,
  });
});

test('a default model may have any name that the contract allows', () => {
  for (const name of ['resnet50', 'a-b_c', '0', 'x'.repeat(64), 'No Name', '-a', 'x'.repeat(65), 'é', 'a/b']) {
    const read = () => readConfig({ INFERQL_DEFAULT_MODEL: name }).defaultModel;
    if (ModelName.safeParse(name).success) expect(read()).toBe(name);
    else expect(read).toThrow(/INFERQL_DEFAULT_MODEL is .*: expected the name of a model/);
  }
});
