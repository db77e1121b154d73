import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { resolveWorkerOptions, type WorkerOptions } from './options.ts';

const NPM = { type: 'npm', package: 'a', version: '1.0.0', integrity: 'sha512-', model: 'model.json' };

test('every option but models has a default, and paths are absolute', () => {
  const { log: _, engineThreads, ...options } = resolveWorkerOptions({ models: 'models' });
  expect(engineThreads).toBeGreaterThan(0);
  expect(options).toEqual({
    redisUrl: 'redis://127.0.0.1:6379',
    prefix: 'inferql',
    models: resolve('models'),
    stateDir: resolve('.inferql'),
    engineTimeLimitMs: 60_000,
    engineLoadLimitMs: 300_000,
    drainLimitMs: 25_000,
  });
});

test('models may be folders as paths or URLs, and definitions', () => {
  const definition = { name: 'cats', source: NPM, labels: ['cat'] } as never;
  const url = pathToFileURL(resolve('models/dogs'));
  const { models } = resolveWorkerOptions({ models: ['models/birds', url, definition] });
  expect(models).toEqual([resolve('models/birds'), resolve('models/dogs'), definition]);
});

test.each([
  [{}, /option 'models' is undefined\. Expected a folder of models, or a list/],
  [{ models: [] }, /option 'models' is an empty list\. Expected a folder/],
  [{ models: 'm', redisURL: 'redis://a' }, /unknown option 'redisURL'.*redisUrl/],
  [{ models: 'm', redisUrl: 'http://a' }, /option 'redisUrl' is "http:\/\/a"\. Expected a URL such as redis/],
  [{ models: 'm', toString: 1 }, /unknown option 'toString'/],
  [{ models: () => [] }, /option 'models' is a function\. Expected a folder of models/],
  [{ models: 'm', prefix: '' }, /option 'prefix' is ""\. Expected a string that is not empty/],
  [{ models: 'm', stateDir: 5 }, /option 'stateDir' is 5\. Expected a string/],
  [{ models: 'm', engineTimeLimitMs: '60s' }, /option 'engineTimeLimitMs' is "60s"\. Expected a whole number/],
  [{ models: 'm', engineLoadLimitMs: 3e9 }, /option 'engineLoadLimitMs' is 3000000000\. Expected .* to 2000000000/],
  [{ models: 'm', drainLimitMs: -1 }, /option 'drainLimitMs' is -1\. Expected a whole number/],
  [{ models: 'm', engineThreads: 0 }, /option 'engineThreads' is 0\. Expected a whole number/],
  [{ models: 'm', logger: {} }, /option 'logger' is an object\. Expected a pino logger/],
  [{ models: ['a/cats', 'b/cats'] }, /option 'models\[1\]' is "cats"\. Expected a name that no other model/],
  [{ models: ['My Models'] }, /option 'models\[0\]' is "My Models"\. Expected a model's name/],
  [
    { models: [{ load: () => undefined }] },
    /option 'models\[0\]' is an object\. Expected the path of the model's folder/,
  ],
  [
    { models: [{ name: 'a', source: { type: 'folder' } }] },
    /option 'models\[0\]\.source' is an object\. Expected \{ type/,
  ],
  [
    { models: [{ name: 'a', source: NPM, labels: 'x' }] },
    /option 'models\[0\]\.labels' is "x"\. Expected a list of names/,
  ],
])('bad options are named: %o', (options, message) => {
  expect(() => resolveWorkerOptions(options as WorkerOptions)).toThrow(message);
});
