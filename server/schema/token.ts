import type { CreatedToken } from '../access/tokens.ts';
import { builder } from './builder.ts';
import { ScopeEnum } from './viewer.ts';

const Token = builder.objectRef<CreatedToken>('Token').implement({
  description: 'A short-lived credential for a browser. It ends with the key that made it.',
  fields: (t) => ({
    token: t.exposeString('token', {
      description: 'Its text, to be sent as an API key is. It is shown here only.',
    }),
    scopes: t.expose('scopes', { type: [ScopeEnum], description: 'What it may do.' }),
    models: t.stringList({
      nullable: true,
      description: 'The names of the models that it may use. Null: those of the key.',
      resolve: ({ models }) => models ?? null,
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When it ends.',
      resolve: ({ expiresAtMs }) => expiresAtMs,
    }),
  }),
});

builder.mutationField('createToken', (t) =>
  t.field({
    type: Token,
    description:
      'Makes a short-lived token that acts for the API key of this request, for a web page to use. It can do no more than the key, and ends with it. Needs the scope `TOKENS`, which the token itself never has.',
    extensions: { scope: 'tokens' },
    args: {
      scopes: t.arg({ type: [ScopeEnum], required: true, description: 'What it may do: scopes that the key has.' }),
      models: t.arg.stringList({
        description: 'Names of the models that it may use. Left out: those that the key may use.',
      }),
      ttlSeconds: t.arg.int({ defaultValue: 900, description: 'How long it is valid, 1 to 86,400 seconds.' }),
    },
    resolve: (_root, { scopes, models, ttlSeconds }, { caller, services }) =>
      services.createToken(caller, {
        scopes,
        models: models ?? undefined,
        ttlSeconds: ttlSeconds ?? 900,
      }),
  }),
);
