import { defineSettings } from '../define-settings.ts';
import { choice, integer, path, text } from '../value-types.ts';

/** Addresses of the server and of Redis, and folders. */
export const connections = defineSettings({
  port: {
    name: 'PORT',
    type: integer({ max: 65_535 }),
    default: 4000,
    description: 'Port on which the server listens; 0 selects a free one.',
    readBy: ['server', 'launcher', 'cli'],
  },
  host: {
    name: 'HOST',
    type: text('an address of this machine'),
    default: '127.0.0.1',
    description: 'Address on which the server listens. `0.0.0.0` accepts requests from other machines.',
    readBy: ['server', 'launcher'],
  },
  redisUrl: {
    name: 'REDIS_URL',
    type: text('redis://host:port, rediss://user:password@host:port or the path of a socket'),
    default: 'redis://127.0.0.1:6379',
    defaultText: 'a private Redis with `npm start`, else `redis://127.0.0.1:6379`',
    description:
      'Redis 7 or later, or Valkey: `redis://[user:password@]host:port[/db]`, `rediss://` for TLS (for your own certificate authority, set `NODE_EXTRA_CA_CERTS` in the environment; Node does not read it from `.env`), `redis+cluster://host:port,host:port`, `redis+sentinel://host:port,host:port/master` (with TLS: `rediss+cluster://`, `rediss+sentinel://`), or the path of a socket.',
    readBy: ['server', 'worker', 'cli'],
    secret: true,
  },
  prefix: {
    name: 'INFERQL_PREFIX',
    type: text(),
    default: 'inferql',
    description: 'Prefix of every Redis key and channel, so that several systems can share one Redis.',
    readBy: ['server', 'worker', 'cli'],
  },
  stateDir: {
    name: 'INFERQL_STATE_DIR',
    type: path,
    default: () => path.parse('.inferql')!,
    defaultText: '`.inferql`',
    description: "Folder for prepared models, uploads that do not fit into memory, and the private Redis' data.",
    readBy: ['server', 'worker', 'launcher', 'cli'],
  },
  modelsDir: {
    name: 'INFERQL_MODELS_DIR',
    type: path,
    default: () => path.parse('models')!,
    defaultText: '`models`',
    description:
      'The model repository: one folder per model. If it is not set and `models` contains no model, `inferql serve` serves ResNet50.',
    readBy: ['worker', 'launcher', 'cli'],
  },
  logLevel: {
    name: 'LOG_LEVEL',
    type: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    default: 'info',
    description: 'Minimum level of log messages: `fatal`, `error`, `warn`, `info`, `debug`, `trace`, or `silent`.',
    readBy: ['server', 'worker'],
  },
});
