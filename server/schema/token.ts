/** The mutation `createToken`. */
import type { CreatedToken } from '../access/browser-tokens.ts';
import { builder } from './builder.ts';
import { ScopeEnum } from './viewer.ts';

const Token = builder.objectRef<CreatedToken>('Token').implement({
  description: 'A short-lived credential for a browser. It expires no later than the key that created it.',
  fields: (t) => ({
    token: t.exposeString('token', {
      description: 'The token. Send it like an API key. It is shown only once.',
    }),
    scopes: t.expose('scopes', { type: [ScopeEnum], description: 'What it may do.' }),
    models: t.stringList({
      nullable: true,
      description: 'The names of the models that it may use. Null if it may use those that the key may use.',
      resolve: ({ models }) => models ?? null,
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When it expires.',
      resolve: ({ expiresAtMs }) => expiresAtMs,
    }),
  }),
});

builder.mutationField('createToken', (t) =>
  t.field({
    type: Token,
    description:
      'Creates a short-lived token for a web page, on behalf of the API key of this request. It can do no more than the key, and expires no later. Needs the scope `TOKENS`, which the token itself never has.',
    extensions: { scope: 'tokens' },
    args: {
      scopes: t.arg({ type: [ScopeEnum], required: true, description: 'What it may do: scopes that the key has.' }),
      models: t.arg.stringList({
        description: 'Names of the models that it may use. Default: those that the key may use.',
      }),
      ttlSeconds: t.arg.int({ defaultValue: 900, description: 'How long it is valid, in seconds, 1 to 86,400.' }),
    },
    resolve: (_root, { scopes, models, ttlSeconds }, { caller, services }) =>
      services.createToken(caller, {
        scopes,
        models: models ?? undefined,
        ttlSeconds: ttlSeconds ?? 900,
      }),
  }),
);
