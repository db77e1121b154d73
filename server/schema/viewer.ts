import { SCOPES, type Scope } from '@inferql/queue/api-keys';
import type { Principal } from '../access/principal.ts';
import { builder } from './builder.ts';

export const ScopeEnum = builder.enumType('Scope', {
  description: 'What an API key or a token may be used for.',
  values: {
    INFER: { value: 'infer', description: 'Send images, and cancel predictions.' },
    READ: { value: 'read', description: 'Read and follow predictions, models and queues.' },
    OPERATE: { value: 'operate', description: 'See counts over all tenants, dead letters and the schema.' },
    TOKENS: { value: 'tokens', description: 'Make short-lived tokens for browsers.' },
  } as const satisfies Record<Uppercase<Scope>, { value: Scope; description: string }>,
});

const Viewer = builder.objectRef<Principal>('Viewer').implement({
  description: 'Who sends this request, as the server sees it.',
  fields: (t) => ({
    tenant: t.exposeString('tenant', {
      description: 'Whose predictions it reads and sends; `anonymous` if the server does not ask who calls.',
    }),
    key: t.id({
      nullable: true,
      description: 'The id of the API key, or of the key behind the token. Null without one. It is no secret.',
      resolve: ({ keyId }) => keyId ?? null,
    }),
    scopes: t.field({
      type: [ScopeEnum],
      description: 'What it may do.',
      resolve: ({ scopes }) => SCOPES.filter((scope) => scopes.has(scope)),
    }),
    models: t.stringList({
      nullable: true,
      description: 'The names of the models that it may use. Null: all.',
      resolve: ({ models }) => (models ? [...models].sort() : null),
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its key or token expires. Null: it does not.',
      resolve: ({ expiresAtMs }) => expiresAtMs ?? null,
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: Viewer,
    description: 'Who sends this request, and what that caller may do.',
    extensions: { scope: 'any' },
    resolve: (_root, _args, { caller }) => caller,
  }),
);
