import { defineSettings } from '../define-settings.ts';
import { choice, flag, path, text, timerMs } from '../value-types.ts';

/** `npm start`, `npm test` and the command `inferql`. */
export const launcher = defineSettings({
  logStyle: {
    name: 'INFERQL_LOG',
    type: choice(['people', 'all', 'json']),
    default: 'people',
    description:
      'How `npm start` shows logs: `people` shows warnings and errors as text, `all` shows every message as text, `json` shows the lines unchanged.',
    readBy: ['launcher'],
  },
  redisWaitMs: {
    name: 'INFERQL_REDIS_WAIT_MS',
    formerNames: ['REDIS_WAIT_MS'],
    type: timerMs(),
    default: 30_000,
    unit: 'ms',
    description: 'How long `npm start` waits for the Redis in `REDIS_URL`.',
    readBy: ['launcher'],
  },
  redisServer: {
    name: 'INFERQL_REDIS_SERVER',
    type: path,
    defaultText: '`redis-server` or `valkey-server` on the PATH',
    description: 'Program that `npm start` and the tests run as a private Redis.',
    readBy: ['launcher', 'tests'],
  },
  install: {
    name: 'INFERQL_INSTALL',
    type: flag,
    default: true,
    description:
      "Allows `npm start` and `npm test` to install a missing Redis (or Chromium, for the tests) with the system's package manager, if that needs no password. They print the exact command first.",
    readBy: ['launcher'],
  },
  chromium: {
    name: 'INFERQL_CHROMIUM',
    type: path,
    defaultText: 'the Chromium or Chrome that is installed',
    description: 'Browser that the tests use.',
    readBy: ['tests', 'launcher'],
  },
  serverUrl: {
    name: 'INFERQL_URL',
    type: text('the address of a server'),
    defaultText: 'the system that is running from this folder, else `http://127.0.0.1:PORT`',
    description: 'Server that the command `inferql` uses.',
    readBy: ['cli'],
  },
  apiKey: {
    name: 'INFERQL_KEY',
    type: text('an API key'),
    description: 'API key with which the command `inferql` uses a server that requires keys.',
    readBy: ['cli'],
    secret: true,
  },
  listen: {
    name: 'INFERQL_LISTEN',
    type: choice(['on-message']),
    description: 'The server opens its port when its launcher says so.',
    readBy: ['server'],
    internal: true,
  },
});
