import { defineSettings } from '../define-settings.ts';
import { choice, integer, text } from '../value-types.ts';

/** Who may use the server. */
export const access = defineSettings({
  auth: {
    name: 'INFERQL_AUTH',
    type: choice(['off', 'off-and-public', 'keys']),
    default: 'off',
    description:
      'Whether callers must say who they are: `keys` asks for API keys, which `inferql keys` makes. `off` is refused if `HOST` is not a loopback address; `off-and-public` lets anyone who reaches the port use everything. See docs/security.md.',
    readBy: ['server', 'launcher'],
  },
  tenantLimits: {
    name: 'INFERQL_TENANT_LIMITS',
    type: text('limits such as 500ms/s:5000,100000images/month'),
    default: '',
    defaultText: 'none',
    description:
      'What each tenant may take: `<amount><unit>/<period>[:<burst>]`, separated by commas. Units are `ms` of predicted machine time, `images` and `bytes` of prepared images; periods are `s`, `min` and `h` for rates, `day` and `month` (UTC) for quotas.',
    readBy: ['server'],
  },
  addressLimits: {
    name: 'INFERQL_ADDRESS_LIMITS',
    type: text('limits such as 10images/s:50'),
    default: '',
    defaultText: 'none',
    description:
      'What each client address may take if callers do not say who they are, written as `INFERQL_TENANT_LIMITS`. Behind a proxy, set `INFERQL_TRUST_PROXY`, or all clients are one.',
    readBy: ['server'],
  },
  maxSubscriptions: {
    name: 'INFERQL_MAX_SUBSCRIPTIONS',
    type: integer({ min: 1 }),
    default: 10_000,
    description: 'Most open subscriptions of a tenant, or of an address that has limits, per server.',
    readBy: ['server'],
  },
  maxWaiting: {
    name: 'INFERQL_MAX_WAITING',
    type: integer({ min: 1 }),
    default: 1_000,
    description: 'Most mutations of a tenant, or of an address that has limits, that wait for an answer, per server.',
    readBy: ['server'],
  },
});
