/** Open subscriptions and WebSockets by credential, which end when the credential ends. */
import { InferqlError } from '@inferql/queue/error-codes';
import { MAX_TIMER_MS } from '@inferql/settings/value-types';
import type { Logger } from 'pino';
import type { Authenticator } from './authenticate.ts';
import { acceptedUntilMs } from './credential-expiry.ts';
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

interface SessionsOptions {
  authenticator: Pick<Authenticator, 'authenticateAgain'>;
  log: Logger;
}

/** Ends what a caller holds open when its key or token ends. Sessions of anonymous callers are not tracked. */
export class Sessions {
  readonly #authenticator: SessionsOptions['authenticator'];
  readonly #log: Logger;
  readonly #groups = new Map<string, Group>();

  constructor({ authenticator, log }: SessionsOptions) {
    this.#authenticator = authenticator;
    this.#log = log;
  }

  /**
   * Tracks a session from now on, and checks once more that its caller may hold it: the credential may have ended while the
   * session was being opened.
   */
  add(principal: Principal, session: Session): void {
    if (principal.kind === 'anonymous') return;
    const key = groupKey(principal);
    let group = this.#groups.get(key);
    if (!group) {
      group = { principal, sessions: new Set(), expiry: undefined };
      this.#groups.set(key, group);
    }
    group.sessions.add(session);
    void this.#check(group);
  }

  remove(principal: Principal, session: Session): void {
    const key = groupKey(principal);
    const group = this.#groups.get(key);
    if (!group?.sessions.delete(session) || group.sessions.size > 0) return;
    clearTimeout(group.expiry);
    this.#groups.delete(key);
  }

  /** Call it when a key was changed; its tokens end with it. */
  async checkKey(id: string): Promise<void> {
    const affected = [...this.#groups.values()].filter(
      ({ principal }) => principal.keyId === id || principal.credential === id,
    );
    await Promise.all(affected.map((group) => this.#check(group)));
  }

  /** Call it every few seconds and after a gap: the message of a revocation may have been lost. */
  async checkAll(): Promise<void> {
    await Promise.all([...this.#groups.values()].map((group) => this.#check(group)));
  }

  count(): number {
    return [...this.#groups.values()].reduce((sum, { sessions }) => sum + sessions.size, 0);
  }

  close(): void {
    for (const { expiry } of this.#groups.values()) clearTimeout(expiry);
    this.#groups.clear();
  }

  /** Checks that the credential is still valid. If the check fails, the next audit repeats it. */
  async #check(group: Group): Promise<void> {
    try {
      group.principal = await this.#authenticator.authenticateAgain(group.principal);
      this.#watchExpiry(group);
    } catch (error) {
      if (error instanceof InferqlError && error.code === 'UNAUTHENTICATED') this.#endGroup(group, error);
      else this.#log.debug({ err: error }, 'credential check failed; retrying');
    }
  }

  #watchExpiry(group: Group): void {
    clearTimeout(group.expiry);
    const endMs = acceptedUntilMs(group.principal);
    if (endMs === undefined || group.sessions.size === 0) return;
    // A millisecond later, so that the check finds it expired.
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(0, endMs - Date.now() + 1));
    group.expiry = setTimeout(() => void this.#check(group), delayMs).unref();
  }

  #endGroup(group: Group, reason: InferqlError): void {
    const { keyId, tenant } = group.principal;
    this.#log.info(
      { key: keyId, tenant, sessions: group.sessions.size },
      'credential expired or revoked; closing its subscriptions',
    );
    for (const session of [...group.sessions]) {
      this.remove(group.principal, session);
      session.end(reason);
    }
  }
}

function groupKey({ kind, credential }: Principal): string {
  return `${kind} ${credential}`;
}
