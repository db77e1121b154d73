/** The type `Viewer`: the caller, its rights, and what is left of its limits. */

import type { LimitState, LimitUnit } from '@inferql/queue/access/rate-limiter';
import { SCOPES, type Scope } from '@inferql/queue/access/scopes';
import type { Principal } from '../access/principal.ts';
import { builder } from './builder.ts';

export const ScopeEnum = builder.enumType('Scope', {
  description: 'What an API key or a token allows.',
  values: {
    INFER: { value: 'infer', description: 'Send images, and cancel predictions.' },
    READ: { value: 'read', description: 'Read and watch predictions, models and queues.' },
    OPERATE: {
      value: 'operate',
      description: 'See the counts of all tenants, the number of dead letters, and the schema.',
    },
    TOKENS: { value: 'tokens', description: 'Create short-lived tokens for browsers.' },
  } as const satisfies Record<Uppercase<Scope>, { value: Scope; description: string }>,
});

const LimitUnitEnum = builder.enumType('LimitUnit', {
  description: 'What a limit counts.',
  values: {
    MACHINE_MS: { value: 'machineMs', description: 'Milliseconds of machine time that the work is predicted to take.' },
    IMAGES: { value: 'requests', description: 'Images.' },
    BYTES: { value: 'bytes', description: 'Bytes of prepared images.' },
  } as const satisfies Record<string, { value: LimitUnit; description: string }>,
});

const LimitPeriodEnum = builder.enumType('LimitPeriod', {
  description: 'When a limit is refilled.',
  values: {
    RATE: { value: 'rate', description: 'Continuously.' },
    DAY: { value: 'day', description: 'At midnight UTC.' },
    MONTH: { value: 'month', description: 'At the first midnight of the next month, UTC.' },
  } as const satisfies Record<string, { value: LimitState['period']; description: string }>,
});

const Limit = builder.objectRef<LimitState>('Limit').implement({
  description:
    'A rate limit or a quota. Refused requests consume nothing, and predictions that end without work are refunded.',
  fields: (t) => ({
    owner: t.string({
      description: 'What it applies to: `tenant`, `key` or `address`.',
      resolve: ({ owner }) => owner.replace(/:.*/, ''),
    }),
    unit: t.expose('unit', { type: LimitUnitEnum, description: 'What it counts.' }),
    period: t.expose('period', { type: LimitPeriodEnum, description: 'When it is refilled.' }),
    limit: t.exposeFloat('limit', { description: 'The total of a quota, or the burst of a rate.' }),
    remaining: t.exposeFloat('remaining', {
      description: 'How much is left. Negative after a request that was larger than the burst.',
    }),
    used: t.float({ description: 'How much is used.', resolve: ({ limit, remaining }) => limit - remaining }),
    resetsAt: t.field({
      type: 'DateTime',
      description: 'When all of it is available again if nothing more is used.',
      resolve: ({ resetsAtMs }) => resetsAtMs,
    }),
  }),
});

const Viewer = builder.objectRef<Principal>('Viewer').implement({
  description: 'The sender of this request, as the server identifies it.',
  fields: (t) => ({
    tenant: t.exposeString('tenant', {
      description:
        'The owner of the predictions that it sends and reads; `anonymous` if the server does not authenticate callers.',
    }),
    key: t.id({
      nullable: true,
      description:
        'The id of the API key, or of the key that created the token. Null if there is none. It is not a secret.',
      resolve: ({ keyId }) => keyId ?? null,
    }),
    scopes: t.field({
      type: [ScopeEnum],
      description: 'What it may do.',
      resolve: ({ scopes }) => SCOPES.filter((scope) => scopes.has(scope)),
    }),
    models: t.stringList({
      nullable: true,
      description: 'The names of the models that it may use. Null if it may use all.',
      resolve: ({ models }) => (models ? [...models].sort() : null),
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its key or token expires. Null if it does not.',
      resolve: ({ expiresAtMs }) => expiresAtMs ?? null,
    }),
    limits: t.field({
      type: [Limit],
      description: 'The limits and quotas that apply now. Empty if there are none.',
      resolve: (caller, _args, { services }) => services.readLimits(caller),
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: Viewer,
    description: 'The sender of this request, and what it may do.',
    extensions: { scope: 'any' },
    resolve: (_root, _args, { caller }) => caller,
  }),
);
