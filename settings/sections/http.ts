import { defineSettings } from '../define-settings.ts';
import { origins, type TrustProxy, trustedProxies } from '../network-types.ts';
import { flag, integer, list, path } from '../value-types.ts';

/** The HTTP server, the page and what a query may cost. */
export const http = defineSettings({
  webDir: {
    name: 'INFERQL_WEB_DIR',
    formerNames: ['WEB_DIR'],
    type: path,
    default: () => path.parse('dist/web')!,
    defaultText: '`dist/web`',
    description: 'Built web page, served at `/` if it exists.',
    readBy: ['server'],
  },
  corsOrigins: {
    name: 'INFERQL_CORS_ORIGINS',
    formerNames: ['CORS_ORIGINS'],
    type: origins,
    default: [] as string[],
    defaultText: 'none',
    description: 'Origins of other web pages that may use the API, separated by commas; `*` allows all.',
    readBy: ['server'],
  },
  trustProxy: {
    name: 'INFERQL_TRUST_PROXY',
    type: trustedProxies,
    default: false as TrustProxy,
    defaultText: '`off`',
    description:
      'Proxies whose `X-Forwarded-Host` and `X-Forwarded-For` are believed: `on` for whoever connects, or addresses, networks and the words `loopback` and `private`, separated by commas. See docs/behind-a-proxy.md.',
    readBy: ['server'],
  },
  allowedHosts: {
    name: 'INFERQL_ALLOWED_HOSTS',
    type: list('host names'),
    default: [] as string[],
    defaultText: 'all; on a loopback address without `INFERQL_TRUST_PROXY`: those without a dot, and `*.localhost`',
    description:
      'Names in the `Host` header that are answered, separated by commas; `*` allows all. Addresses and names without a dot always are.',
    readBy: ['server'],
  },
  graphiql: {
    name: 'INFERQL_GRAPHIQL',
    formerNames: ['GRAPHIQL'],
    type: flag,
    default: true,
    description: 'Serves GraphiQL at `/graphql`.',
    readBy: ['server'],
  },
  introspection: {
    name: 'INFERQL_INTROSPECTION',
    formerNames: ['INTROSPECTION'],
    type: flag,
    default: true,
    description: 'Lets clients ask for the schema. GraphiQL needs it.',
    readBy: ['server'],
  },
  maxQueryBytes: {
    name: 'INFERQL_MAX_QUERY_BYTES',
    formerNames: ['MAX_QUERY_BYTES'],
    type: integer({ min: 1 }),
    default: 256 * 1024,
    unit: 'bytes',
    description: 'Largest body without files, and largest WebSocket message.',
    readBy: ['server'],
  },
  maxDepth: {
    name: 'INFERQL_MAX_DEPTH',
    formerNames: ['MAX_DEPTH'],
    type: integer({ min: 1 }),
    default: 12,
    description: 'Deepest nesting of a query.',
    readBy: ['server'],
  },
  maxAliases: {
    name: 'INFERQL_MAX_ALIASES',
    formerNames: ['MAX_ALIASES'],
    type: integer({ min: 1 }),
    default: 30,
    description: 'Most aliases in a query.',
    readBy: ['server'],
  },
  maxTokens: {
    name: 'INFERQL_MAX_TOKENS',
    formerNames: ['MAX_TOKENS'],
    type: integer({ min: 1 }),
    default: 2_000,
    description: 'Most tokens in a query.',
    readBy: ['server'],
  },
  maxCost: {
    name: 'INFERQL_MAX_COST',
    formerNames: ['MAX_COST'],
    type: integer({ min: 1 }),
    default: 20_000,
    description: 'Highest cost of a query.',
    readBy: ['server'],
  },
  drainMs: {
    name: 'INFERQL_DRAIN_MS',
    formerNames: ['DRAIN_MS'],
    type: integer(),
    default: 8_000,
    unit: 'ms',
    description: 'After SIGTERM, mutations that wait for a result are given this long to end.',
    readBy: ['server'],
  },
});
