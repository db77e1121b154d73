/** Access to the server in one object: authentication, sessions, limits and tokens. */
import type { KeyStore } from '@inferql/queue/api-keys';
import { NO_LIMITS, parseLimits } from '@inferql/queue/limit-rules';
import type { Limiter } from '@inferql/queue/limits';
import type { Refunds } from '@inferql/queue/refunds';
import { readChangedTenant, type TenantStore } from '@inferql/queue/tenant-store';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { Authenticator } from './authenticate.ts';
import type { CustomAuthenticate } from './custom.ts';
import { createJwtVerifier } from './jwt.ts';
import { createKeyCache } from './key-cache.ts';
import { Limits } from './limits.ts';
import type { Principal } from './principal.ts';
import { createReadCache } from './read-cache.ts';
import { createSessions, type Session } from './sessions.ts';
import { createToken, type TokenRequest } from './tokens.ts';

/** How long open subscriptions may miss a revocation whose message was lost, in addition to the age of cached keys. */
const AUDIT_INTERVAL_MS = 2_000;
/** The last use of a key is written at most this often. */
const NOTE_USE_INTERVAL_MS = 10_000;

export type Access = ReturnType<typeof createAccess>;

/** Identifies callers, and tracks what they hold open. */
export function createAccess(options: {
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
}) {
  const { config, store, tenantStore, limiter, refunds, findImageMs, log, custom } = options;
  const keys = createKeyCache(store);
  const tenants = createReadCache((tenant) => tenantStore.find(tenant));
  const used = new Set<string>();
  const tenantRules = parseLimits(config.tenantLimits, 'tenant') ?? NO_LIMITS;
  const takesJwt = config.auth === 'jwt' || config.auth === 'keys+jwt';
  const authenticator = new Authenticator({
    mode: config.auth,
    keys,
    tenants,
    tenantRules,
    addressRules: parseLimits(config.addressLimits, 'address') ?? NO_LIMITS,
    onKeyUsed: (id) => used.add(id),
    jwt: takesJwt
      ? createJwtVerifier({
          jwksUrl: config.jwks,
          issuer: config.jwtIssuer,
          audience: config.jwtAudience,
          algorithms: config.jwtAlgorithms,
          tenantClaim: config.jwtTenantClaim,
          scopesClaim: config.jwtScopesClaim,
          modelsClaim: config.jwtModelsClaim,
        })
      : undefined,
    custom,
  });
  const limits = new Limits({ limiter, refunds, findImageMs, config, log });
  const sessions = createSessions({ authenticator, log });
  const timers = authenticator.isOn
    ? [
        setInterval(() => void sessions.checkAll(), AUDIT_INTERVAL_MS).unref(),
        setInterval(() => void noteUse(), NOTE_USE_INTERVAL_MS).unref(),
      ]
    : [];

  async function noteUse(): Promise<void> {
    const ids = [...used];
    used.clear();
    try {
      await store.noteUse(ids);
    } catch (error) {
      log.debug({ err: error }, 'could not record when keys were last used');
    }
  }

  return {
    authenticator,
    sessions,
    limits,

    createToken: (caller: Principal, request: TokenRequest) => createToken(store, caller, request),

    /** Call it with the id of a changed key, or a message about a tenant; undefined if any may have changed. */
    onKeyChanged(id: string | undefined): void {
      const tenant = id === undefined ? undefined : readChangedTenant(id);
      if (id === undefined) {
        keys.forgetAll();
        tenants.forgetAll();
        void sessions.checkAll();
      } else if (tenant !== undefined) {
        tenants.forget(tenant);
      } else {
        keys.forget(id);
        void sessions.checkKey(id);
      }
    },

    /**
     * Opens a subscription, which ends with its caller's key or token.
     * @throws InferqlError RATE_LIMITED if the caller has too many, and whatever `open` throws
     */
    async subscribe<T extends Session & { whenEnded(task: () => void): void }>(
      caller: Principal,
      open: () => Promise<T>,
    ): Promise<T> {
      const leave = limits.hold(caller, 'subscriptions');
      let stream: T;
      try {
        stream = await open();
      } catch (error) {
        leave();
        throw error;
      }
      sessions.add(caller, stream);
      stream.whenEnded(() => {
        leave();
        sessions.remove(caller, stream);
      });
      return stream;
    },

    close(): void {
      for (const timer of timers) clearInterval(timer);
      sessions.close();
    },
  };
}
