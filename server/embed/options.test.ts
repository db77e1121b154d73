import { type GraphQLSchema, parse, extendSchema as withExtension } from 'graphql';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { describeCustomCaller } from '../access/custom-authentication.ts';
import { readConfig } from '../config.ts';
import { applyBeforeAdmit } from '../predictions/host-hooks.ts';
import { createInferQL } from './create-inferql.ts';
import { resolveOptions } from './options.ts';
import { checkSubmission } from './submission.ts';
import type { InferQLOptions } from './types.ts';

test('every option has a default, which does not depend on the environment', () => {
  process.env.INFERQL_MAX_DEPTH = '3';
  try {
    const { config, endpoint, log } = resolveOptions({});
    expect(endpoint).toBe('/graphql');
    expect(log.level).toBe('silent');
    expect(config).toEqual({ ...readConfig({}), allowedHosts: ['*'], graphiql: false });
    const { redisUrl, prefix, tenantLimits, defaultModel, corsOrigins, introspection } = config;
    expect({ redisUrl, prefix, tenantLimits, defaultModel, corsOrigins, introspection }).toEqual({
      redisUrl: 'redis://127.0.0.1:6379',
      prefix: 'inferql',
      tenantLimits: '',
      defaultModel: undefined,
      corsOrigins: [],
      introspection: true,
    });
  } finally {
    delete process.env.INFERQL_MAX_DEPTH;
  }
});

test('options take the place of defaults, and undefined is as if left out', () => {
  const logger = pino({ level: 'silent' });
  const { config, endpoint, log } = resolveOptions({
    redisUrl: 'rediss://cache:1',
    prefix: 'mine',
    endpoint: '/api/graphql',
    limits: { maxUploadBytes: 5, maxDepth: undefined as never },
    corsOrigins: ['https://Example.org/', '*'],
    introspection: false,
    graphiql: true,
    defaultModel: undefined as never,
    logger,
  });
  const { maxUploadBytes, maxDepth, corsOrigins } = config;
  expect({ maxUploadBytes, maxDepth, corsOrigins }).toEqual({
    maxUploadBytes: 5,
    maxDepth: readConfig({}).maxDepth,
    corsOrigins: ['https://example.org', '*'],
  });
  expect(config).toMatchObject({ redisUrl: 'rediss://cache:1', prefix: 'mine', introspection: false, graphiql: true });
  expect([endpoint, log]).toEqual(['/api/graphql', logger]);
});

test.each([
  [null, /expected an object of options, found null/],
  [[], /expected an object of options, found an array/],
  [{ redisURL: 'redis://localhost' }, /unknown option 'redisURL'.*redisUrl/],
  [{ toString: 1 }, /unknown option 'toString'/],
  [{ redisUrl: 6379 }, /option 'redisUrl' is 6379\. Expected a URL such as redis/],
  [{ redisUrl: 'http://localhost' }, /option 'redisUrl' is "http:\/\/localhost"\. Expected a URL such as redis/],
  [{ prefix: '' }, /option 'prefix' is ""\. Expected a string/],
  [{ imageUrls: ['http://x/'] }, /option 'imageUrls' is an array\. Expected 'off', 'https' or an array of hosts/],
  [{ imageUrls: 'http' }, /option 'imageUrls' is "http"\. Expected 'off'/],
  [{ imageUrls: [] }, /option 'imageUrls' is an array\. Expected 'off'/],
  [{ endpoint: 'graphql' }, /option 'endpoint' is "graphql"\. Expected a path/],
  [{ limits: 5 }, /option 'limits' is 5\. Expected an object with maxUploadBytes/],
  [{ limits: { maxUploadBytes: '5 MB' } }, /'limits\.maxUploadBytes' is "5 MB"\. Expected a whole number/],
  [{ limits: { maxDepth: 0 } }, /'limits\.maxDepth' is 0\. Expected a whole number over 0/],
  [{ limits: { maxUpload: 5 } }, /unknown option 'limits\.maxUpload'\. Known: maxUploadBytes/],
  [{ runInline: 'yes' }, /option 'runInline' is "yes"\. Expected true, false or an object with models/],
  [{ runInline: { model: './cats' } }, /unknown option 'runInline\.model'\. Known: models, stateDir/],
  [{ runInline: { models: null } }, /option 'runInline\.models' is null\. Expected a folder of models/],
  [{ runInline: { engineThreads: 1.5 } }, /option 'runInline\.engineThreads' is 1\.5\. Expected a whole number/],
  [{ authenticate: 'secret' }, /option 'authenticate' is "secret"\. Expected a function/],
  [{ plugins: {} }, /option 'plugins' is an object\. Expected an array of Yoga plugins/],
  [{ plugins: [() => ({})] }, /option 'plugins' is an array\. Expected an array of Yoga plugins/],
  [{ extendSchema: 'type Query' }, /option 'extendSchema' is "type Query"\. Expected a function/],
  [{ federation: 'v2' }, /option 'federation' is "v2"\. Expected true or false/],
  [{ hooks: () => {} }, /option 'hooks' is a function\. Expected an object with beforeAdmit/],
  [{ hooks: { onSettle() {} } }, /unknown option 'hooks\.onSettle'\. Known: beforeAdmit, onSettled/],
  [{ hooks: { beforeAdmit: true } }, /option 'hooks\.beforeAdmit' is true\. Expected a function/],
  [{ tenantLimits: 'lots' }, /'tenantLimits' is "lots"\. Expected limits such as/],
  [{ defaultModel: 5 }, /option 'defaultModel' is 5\. Expected the name of a model/],
  [{ corsOrigins: 'https://a.org' }, /option 'corsOrigins' is "https:\/\/a\.org"\. Expected an array of origins/],
  [{ corsOrigins: ['a.org'] }, /option 'corsOrigins' is an array\. Expected an array of origins/],
  [{ introspection: 0 }, /option 'introspection' is 0\. Expected true or false/],
  [{ graphiql: 'on' }, /option 'graphiql' is "on"\. Expected true or false/],
  [{ logger: { info() {} } }, /option 'logger' is an object\. Expected a pino logger/],
])('bad options are named: %o', (options, message) => {
  expect(() => createInferQL(options as InferQLOptions)).toThrow(message);
});

test('a schema that is not extended, or not yet, is refused', () => {
  const extend = (change: (schema: GraphQLSchema) => unknown) => () =>
    createInferQL({ extendSchema: change as NonNullable<InferQLOptions['extendSchema']> });
  expect(extend(() => undefined)).toThrow(/option 'extendSchema' returned undefined\. Expected a GraphQLSchema/);
  expect(extend(async (schema) => schema)).toThrow(/'extendSchema' returned an object\. .*not a promise/);
  expect(extend((schema) => withExtension(schema, parse('extend type Query { hello: String }')))).not.toThrow();
});

test.each([
  ['cat.jpg', {}, /^submit: the image is "cat\.jpg"\. Expected the bytes of its file/],
  [new ArrayBuffer(2), {}, /the image is an object\. Expected the bytes/],
  [new Uint8Array(), 'cats', /expected an object of options, found "cats"/],
  [new Uint8Array(), { Model: 'cats' }, /unknown option 'Model'\. Known: model, topK/],
  [new Uint8Array(), { topK: '5' }, /option 'topK' is "5"\. Expected a whole number over 0/],
  [new Uint8Array(), { topK: Number.NaN }, /option 'topK' is NaN/],
  [new Uint8Array(), { timeoutMs: -1 }, /option 'timeoutMs' is -1/],
  [new Uint8Array(), { priority: 'high' }, /option 'priority' is "high"\. Expected HIGH, NORMAL, LOW/],
  [new Uint8Array(), { idempotencyKey: 7 }, /option 'idempotencyKey' is 7\. Expected a string/],
  [new Uint8Array(), { caller: 'alice' }, /option 'caller' is "alice"\. Expected an object with a tenant/],
  [new Uint8Array(), { signal: new AbortController() }, /option 'signal' is an object\. Expected an AbortSignal/],
])('bad arguments of submit are named: %o %o', (image, options, message) => {
  expect(() => checkSubmission(image, options)).toThrow(message);
});

test.each([
  [{ tenant: '' }, /'tenant' must be 1 to 128/],
  [{ tenant: 'a', scopes: 'read' }, /'scopes' must be an array of/],
  [{ tenant: 'a', scopes: ['write'] }, /'scopes' must be an array of/],
  [{ tenant: 'a', models: 'cats' }, /'models' must be an array of names/],
  [{ tenant: 'a', weight: 0 }, /'weight' must be between/],
  [{ tenant: 'a', expiresAtMs: 'tomorrow' }, /'expiresAtMs' must be a number/],
])('a caller that cannot be used is refused, not misunderstood: %o', (caller, message) => {
  expect(() => describeCustomCaller(caller as never)).toThrow(message);
});

test.each([[{}], [{ reject: 'no' }], [{ model: 5 }], ['no'], [true]])(
  'what beforeAdmit may not return admits nothing: %o',
  async (decision) => {
    const request = { image: Buffer.alloc(1), model: 'cats', caller: { tenant: 'a' } };
    await expect(applyBeforeAdmit(() => decision as never, request)).rejects.toThrow(/^hooks\.beforeAdmit: expected/);
  },
);
