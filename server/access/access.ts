/** Access to the server in one object: authentication, sessions, limits and tokens. */
import type { KeyStore } from '@inferql/queue/access/api-keys';
import { NO_LIMITS, parseLimits } from '@inferql/queue/access/limit-rules';
import type { Limiter } from '@inferql/queue/access/rate-limiter';
import type { Refunds } from '@inferql/queue/access/refunds';
import { readChangedTenant, type TenantSettings, type TenantStore } from '@inferql/queue/access/tenant-store';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { Authenticator } from './authenticate.ts';
import { type CreatedToken, createToken, type TokenRequest } from './browser-tokens.ts';
import { Limits } from './caller-limits.ts';
import type { CustomAuthenticate } from './custom-authentication.ts';
import type { JwtVerifier } from './jwt.ts';
import { createKeyCache, type KeyCache } from './key-cache.ts';
import type { Principal } from './principal.ts';
import { createReadCache, type ReadCache } from './read-cache.ts';
import { type Session, Sessions } from './sessions.ts';

/** How long open subscriptions may miss a revocation whose message was lost, in addition to the age of cached keys. */
const AUDIT_INTERVAL_MS = 2_000;
/** The last use of a key is written at most this often. */
const NOTE_USE_INTERVAL_MS = 10_000;

interface AccessOptions {
  config: Pick<
    Config,
    | 'auth'
    | 'jwks'
    | 'jwtIssuer'
    | 'jwtAudience'
    | 'jwtAlgorithms'
    | 'jwtTenantClaim'
    | 'jwtScopesClaim'
    | 'jwtModelsClaim'
    | 'tenantLimits'
    | 'addressLimits'
    | 'maxSubscriptions'
    | 'maxWaiting'
  >;
  store: KeyStore;
  tenantStore: Pick<TenantStore, 'find'>;
  limiter: Limiter;
  refunds: Refunds;
  findImageMs(model: string): Promise<number | undefined>;
  log: Logger;
  custom: CustomAuthenticate | undefined;
}

/** Identifies callers, and tracks their open subscriptions and connections. */
export class Access {
  readonly authenticator: Authenticator;
  readonly limits: Limits;
  readonly sessions: Sessions;
  readonly #options: AccessOptions;
  readonly #keys: KeyCache;
  readonly #tenants: ReadCache<TenantSettings | null>;
  readonly #usedKeys = new Set<string>();
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(options: AccessOptions) {
    const { config, store, tenantStore, log, custom } = options;
    this.#options = options;
    this.#keys = createKeyCache(store);
    this.#tenants = createReadCache((tenant) => tenantStore.find(tenant));
    this.authenticator = new Authenticator({
      mode: config.auth,
      keys: this.#keys,
      tenants: this.#tenants,
      tenantRules: parseLimits(config.tenantLimits, 'tenant') ?? NO_LIMITS,
      addressRules: parseLimits(config.addressLimits, 'address') ?? NO_LIMITS,
      onKeyUsed: (id) => this.#usedKeys.add(id),
      jwt: openJwtVerifier(config),
      custom,
    });
    this.limits = new Limits(options);
    this.sessions = new Sessions({ authenticator: this.authenticator, log });
    if (!this.authenticator.isOn) return;
    this.#timers.push(
      setInterval(() => void this.sessions.checkAll(), AUDIT_INTERVAL_MS).unref(),
      setInterval(() => void this.#noteUse(), NOTE_USE_INTERVAL_MS).unref(),
    );
  }

  /** @throws InferqlError INVALID_INPUT; FORBIDDEN if it asks for more than the caller's key has, or the caller has no key */
  createToken(caller: Principal, request: TokenRequest): Promise<CreatedToken> {
    return createToken(this.#options.store, caller, request);
  }

  /**
   * Opens a subscription, which ends with its caller's key or token.
   * @throws InferqlError RATE_LIMITED if the caller has too many, and whatever `open` throws
   */
  async subscribe<T extends Session & { whenEnded(task: () => void): void }>(
    caller: Principal,
    open: () => Promise<T>,
  ): Promise<T> {
    const leave = this.limits.hold(caller, 'subscriptions');
    let stream: T;
    try {
      stream = await open();
    } catch (error) {
      leave();
      throw error;
    }
    this.sessions.add(caller, stream);
    stream.whenEnded(() => {
      leave();
      this.sessions.remove(caller, stream);
    });
    return stream;
  }

  /** Call it with the id of a changed key, or a message about a tenant; undefined if any may have changed. */
  onKeyChanged(id: string | undefined): void {
    const tenant = id === undefined ? undefined : readChangedTenant(id);
    if (id === undefined) {
      this.#keys.forgetAll();
      this.#tenants.forgetAll();
      void this.sessions.checkAll();
    } else if (tenant !== undefined) {
      this.#tenants.forget(tenant);
    } else {
      this.#keys.forget(id);
      void this.sessions.checkKey(id);
    }
  }

  async #noteUse(): Promise<void> {
    const ids = [...this.#usedKeys];
    this.#usedKeys.clear();
    try {
      await this.#options.store.noteUse(ids);
    } catch (error) {
      this.#options.log.debug({ err: error }, 'could not record when keys were last used');
    }
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.sessions.close();
  }
}

/** What checks tokens of an identity provider; undefined if they are not accepted. */
function openJwtVerifier(config: AccessOptions['config']): JwtVerifier | undefined {
  if (config.auth !== 'jwt' && config.auth !== 'keys+jwt') return undefined;
  // Only servers that accept tokens load the library for them.
  const opened = import('./jwt.ts').then(({ createJwtVerifier }) =>
    createJwtVerifier({
      jwksUrl: config.jwks,
      issuer: config.jwtIssuer,
      audience: config.jwtAudience,
      algorithms: config.jwtAlgorithms,
      tenantClaim: config.jwtTenantClaim,
      scopesClaim: config.jwtScopesClaim,
      modelsClaim: config.jwtModelsClaim,
    }),
  );
  // The first token reports a failure.
  opened.catch(() => {});
  return { verify: async (token) => (await opened).verify(token) };
}
