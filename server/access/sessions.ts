/** Open subscriptions and WebSockets by credential, which end when the credential ends. */
import { InferqlError } from '@inferql/queue/error-codes';
import type { Logger } from 'pino';
import type { Authenticator } from './authenticate.ts';
import type { Principal } from './principal.ts';

/** What a caller holds open: a subscription, or a WebSocket. */
export interface Session {
  /** Ends it so that a client does not retry with the same credential. */
  end(reason: InferqlError): void;
}

/** The open sessions of one credential. */
interface Group {
  principal: Principal;
  sessions: Set<Session>;
  expiry: NodeJS.Timeout | undefined;
}

/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export type Sessions = ReturnType<typeof createSessions>;

/** Ends what a caller holds open when its key or token ends. Sessions of anonymous callers are not tracked. */
export function createSessions({
  authenticator,
  log,
}: {
  authenticator: Pick<Authenticator, 'authenticateAgain'>;
  log: Logger;
}) {
  const groups = new Map<string, Group>();

  function endGroup(group: Group, reason: InferqlError): void {
    const { keyId, tenant } = group.principal;
    log.info(
      { key: keyId, tenant, sessions: group.sessions.size },
      'credential expired or revoked; closing its subscriptions',
    );
    for (const session of [...group.sessions]) {
      remove(group.principal, session);
      session.end(reason);
    }
  }

  /** Checks that the credential is still valid. If that fails now, the next audit checks it. */
  async function check(group: Group): Promise<void> {
    try {
      group.principal = await authenticator.authenticateAgain(group.principal);
      watchExpiry(group);
    } catch (error) {
      if (error instanceof InferqlError && error.code === 'UNAUTHENTICATED') endGroup(group, error);
      else log.debug({ err: error }, 'credential check failed; retrying');
    }
  }

  function watchExpiry(group: Group): void {
    clearTimeout(group.expiry);
    const { expiresAtMs } = group.principal;
    if (expiresAtMs === undefined || group.sessions.size === 0) return;
    // A millisecond later, so that the check finds it expired.
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(0, expiresAtMs - Date.now() + 1));
    group.expiry = setTimeout(() => void check(group), delayMs).unref();
  }

  const keyOf = ({ kind, credential }: Principal) => `${kind} ${credential}`;

  function remove(principal: Principal, session: Session): void {
    const group = groups.get(keyOf(principal));
    if (!group?.sessions.delete(session) || group.sessions.size > 0) return;
    clearTimeout(group.expiry);
    groups.delete(keyOf(principal));
  }

  return {
    /**
     * Tracks a session from now on, and checks once more that its caller may hold it: the credential may have ended while the
     * session was being opened.
     */
    add(principal: Principal, session: Session): void {
      if (principal.kind === 'anonymous') return;
      let group = groups.get(keyOf(principal));
      if (!group) {
        group = { principal, sessions: new Set(), expiry: undefined };
        groups.set(keyOf(principal), group);
      }
      group.sessions.add(session);
      void check(group);
    },

    remove,

    /** Call it when a key was changed; its tokens end with it. */
    async checkKey(id: string): Promise<void> {
      const affected = [...groups.values()].filter(
        ({ principal }) => principal.keyId === id || principal.credential === id,
      );
      await Promise.all(affected.map(check));
    },

    /** Call it every few seconds and after a gap: the message of a revocation may have been lost. */
    async checkAll(): Promise<void> {
      await Promise.all([...groups.values()].map(check));
    },

    count: () => [...groups.values()].reduce((sum, { sessions }) => sum + sessions.size, 0),

    close(): void {
      for (const { expiry } of groups.values()) clearTimeout(expiry);
      groups.clear();
    },
  };
}
