import { defineSettings } from '../define-settings.ts';
import { limitList } from '../limit-list.ts';
import { choice, choices, integer, text, type ValueType } from '../value-types.ts';

/** Only asymmetric signatures: the server can check them without a secret. */
const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

const JWKS_URL = /^https:\/\/\S+$|^http:\/\/(localhost|127\.0\.0\.1|\[::1\])[:/]\S*$/;
const jwksUrl: ValueType<string> = {
  expected: 'an https:// address, or http:// on this machine',
  parse: (value) => (JWKS_URL.test(value) && URL.canParse(value) ? value : undefined),
};

/** Who may use the server. */
export const access = defineSettings({
  auth: {
    name: 'INFERQL_AUTH',
    type: choice(['off', 'off-and-public', 'keys', 'jwt', 'keys+jwt']),
    default: 'off',
    description:
      'How callers are identified: `keys` requires API keys, which `inferql keys` creates; `jwt` requires tokens from an identity provider; `keys+jwt` accepts both. `off` is refused if `HOST` is not a loopback address; `off-and-public` lets everyone who reaches the port use the API. See docs/security.md.',
    readBy: ['server', 'launcher'],
  },
  jwks: {
    name: 'INFERQL_JWKS_URL',
    type: jwksUrl,
    default: '',
    defaultText: 'none',
    description: 'URL of the public keys with which the identity provider signs its tokens. Needed with `jwt`.',
    readBy: ['server'],
  },
  jwtIssuer: {
    name: 'INFERQL_JWT_ISSUER',
    type: text(),
    default: '',
    defaultText: 'none',
    description: 'Required value of the claim `iss`. Needed with `jwt`.',
    readBy: ['server'],
  },
  jwtAudience: {
    name: 'INFERQL_JWT_AUDIENCE',
    type: text(),
    default: '',
    defaultText: 'none',
    description: 'Required value of the claim `aud`, so that tokens for other services are refused. Needed with `jwt`.',
    readBy: ['server'],
  },
  jwtAlgorithms: {
    name: 'INFERQL_JWT_ALGORITHMS',
    type: choices(JWT_ALGORITHMS),
    default: ['RS256', 'ES256', 'EdDSA'] as (typeof JWT_ALGORITHMS)[number][],
    defaultText: '`RS256,ES256,EdDSA`',
    description:
      'Allowed signature algorithms of tokens. `none` and algorithms with a shared secret are never allowed.',
    readBy: ['server'],
  },
  jwtTenantClaim: {
    name: 'INFERQL_JWT_TENANT_CLAIM',
    type: text('the name of a claim'),
    default: 'tenant',
    description: 'Claim that contains the tenant, such as `org_id`. A dot separates the names of nested claims.',
    readBy: ['server'],
  },
  jwtScopesClaim: {
    name: 'INFERQL_JWT_SCOPES_CLAIM',
    type: text('the name of a claim'),
    default: 'scope',
    description:
      'Claim that contains the scopes `infer`, `read` and `operate`, as a list or separated by spaces. `inferql:infer` is also accepted.',
    readBy: ['server'],
  },
  jwtModelsClaim: {
    name: 'INFERQL_JWT_MODELS_CLAIM',
    type: text('the name of a claim'),
    default: 'models',
    description:
      'Claim that contains the names of the models that the caller may use. A token without it may use all models.',
    readBy: ['server'],
  },
  tenantLimits: {
    name: 'INFERQL_TENANT_LIMITS',
    type: limitList,
    default: '',
    defaultText: 'none',
    description:
      'What each tenant may use: `<amount><unit>/<period>[:<burst>]`, separated by commas. Units are `ms` of predicted machine time, `images` and `bytes` of prepared images; periods are `s`, `min` and `h` for rates, `day` and `month` (UTC) for quotas.',
    readBy: ['server'],
  },
  addressLimits: {
    name: 'INFERQL_ADDRESS_LIMITS',
    type: limitList,
    default: '',
    defaultText: 'none',
    description:
      'What each client address may use if callers are not identified, in the format of `INFERQL_TENANT_LIMITS`. Behind a proxy, set `INFERQL_TRUST_PROXY`; otherwise all clients count as one.',
    readBy: ['server'],
  },
  maxSubscriptions: {
    name: 'INFERQL_MAX_SUBSCRIPTIONS',
    type: integer({ min: 1 }),
    default: 10_000,
    description:
      'Maximum number of open subscriptions on one server per tenant, or per client address if callers are not identified.',
    readBy: ['server'],
  },
  maxWaiting: {
    name: 'INFERQL_MAX_WAITING',
    type: integer({ min: 1 }),
    default: 1_000,
    description:
      'Maximum number of mutations that wait for their response on one server per tenant, or per client address if callers are not identified.',
    readBy: ['server'],
  },
});
