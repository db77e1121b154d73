/** Shared by the tests of authentication: a server that requires keys, and a key of each kind. */
import { KeyStore, type NewKey } from '@inferql/queue/access/api-keys';
import { type Server, type ServerOptions, startServer } from './server-harness.ts';

export const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

/** A server that asks for API keys. */
export async function startGuardedServer(options: ServerOptions = {}) {
  const server = await startServer({ ...options, env: { INFERQL_AUTH: 'keys', ...options.env } });
  return { server, ...openKeys(server) };
}

/** The keys in the server's Redis, as an operator creates them. */
export function openKeys(server: Server) {
  const store = new KeyStore(server.redis, { prefix: server.prefix });
  return {
    store,
    /** Creates a key of the tenant alice that may infer and read unless the changes say so. */
    async makeKey(changes: Partial<NewKey> = {}) {
      const { text, record } = await store.create({ tenant: 'alice', scopes: ['infer', 'read'], ...changes });
      return { text, id: record.id, headers: bearer(text) };
    },
  };
}
