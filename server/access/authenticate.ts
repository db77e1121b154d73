/** Identifies callers: by API key, browser token, JWT, or the host application's function. */
import { isKeyText, looksLikeKey, readKeyId } from '@inferql/queue/access/api-keys';
import { hasLimits, NO_LIMITS, parseLimits } from '@inferql/queue/access/limit-rules';
import type { LimitRules } from '@inferql/queue/access/rate-limiter';
import type { TenantSettings } from '@inferql/queue/access/tenant-store';
import { InferqlError } from '@inferql/queue/error-codes';
import { CLIENT_ID_HEADER, describeAnonymous } from './anonymous-callers.ts';
import { hasExpired } from './credential-expiry.ts';
import { type CustomAuthenticate, type CustomCaller, describeCustomCaller } from './custom-authentication.ts';
import type { JwtVerifier } from './jwt.ts';
import { type FoundKey, type KeyCache, whyEnded } from './key-cache.ts';
import type { Principal } from './principal.ts';
import type { ReadCache } from './read-cache.ts';

export type AuthMode = 'off' | 'off-and-public' | 'keys' | 'jwt' | 'keys+jwt';

/** Larger than any token that fits into the headers of common servers. */
const MAX_CREDENTIAL_LENGTH = 8_192;
const BEARER = /^bearer +([\x21-\x7e]+) *$/i;

/** The credentials that a request carries. */
export interface ShownCredentials {
  authorization: string | null | undefined;
  address: string | undefined;
  header(name: string): string | undefined;
}

export interface AuthenticatorOptions {
  mode: AuthMode;
  keys: KeyCache;
  /** What operators have set for single tenants. */
  tenants: Pick<ReadCache<TenantSettings | null>, 'find'>;
  /** Limits of each other tenant. */
  tenantRules: LimitRules;
  /** Limits of each address if callers are not identified. */
  addressRules: LimitRules;
  /** Called with the id of each key that was accepted. */
  onKeyUsed(id: string): void;
  /** For tokens of an identity provider. */
  jwt: JwtVerifier | undefined;
  /** A host application's authentication, which replaces all others. */
  custom: CustomAuthenticate | undefined;
}

/** Identifies callers, for HTTP, server-sent events and WebSockets. No other code does. */
export class Authenticator {
  /** Whether callers must identify themselves. */
  readonly isOn: boolean;
  readonly #options: AuthenticatorOptions;
  readonly #takesKeys: boolean;

  constructor(options: AuthenticatorOptions) {
    const { mode, custom } = options;
    this.#options = options;
    this.isOn = custom !== undefined || (mode !== 'off' && mode !== 'off-and-public');
    this.#takesKeys = mode === 'keys' || mode === 'keys+jwt';
  }

  /**
   * @param shown.authorization the value of the header, or of `authorization` in a WebSocket's connectionParams
   * @param shown.address the client's, as far as it is known
   * @param shown.header any other header of the request
   * @throws InferqlError UNAUTHENTICATED; UNAVAILABLE if Redis is needed and does not answer
   */
  async authenticate(shown: ShownCredentials): Promise<Principal> {
    const { custom, jwt } = this.#options;
    const { authorization, header } = shown;
    if (custom) {
      const caller = await custom({ authorization: authorization ?? undefined, header });
      return this.#bindTenant(describeCustomCaller(caller));
    }
    if (!this.isOn) return describeAnonymous(shown.address ?? '', header(CLIENT_ID_HEADER), this.#options.addressRules);
    if (!authorization) throw new InferqlError('UNAUTHENTICATED');
    const credential = authorization.length <= MAX_CREDENTIAL_LENGTH ? BEARER.exec(authorization)?.[1] : undefined;
    if (credential === undefined) throw refuse('Expected the header `Authorization: Bearer KEY`.');
    if (this.#takesKeys && looksLikeKey(credential)) return this.#authenticateKey(credential);
    if (jwt) return this.#bindTenant(await jwt.verify(credential));
    throw refuse('The credential is not an API key of this server.');
  }

  /** A caller that a host application names without a request. */
  async accept(caller: CustomCaller): Promise<Principal> {
    return this.#bindTenant(describeCustomCaller(caller));
  }

  /**
   * Checks that an accepted caller is still allowed, and with which rights.
   * @throws InferqlError UNAUTHENTICATED if it was revoked or has expired
   */
  async authenticateAgain(principal: Principal): Promise<Principal> {
    switch (principal.kind) {
      case 'anonymous':
        return principal;
      case 'key':
      case 'token': {
        const found = await this.#options.keys.find(principal.credential);
        if (!found) throw refuse('Unknown API key.');
        return this.#acceptKey(found);
      }
      case 'jwt':
      case 'custom':
        if (hasExpired(principal, Date.now())) throw refuse('The token has expired.');
        return principal;
      default:
        return principal.kind satisfies never;
    }
  }

  async #authenticateKey(text: string): Promise<Principal> {
    const id = readKeyId(text);
    if (id === undefined) throw refuse('The API key is incomplete or mistyped.');
    const found = await this.#options.keys.find(id);
    if (!isKeyText(found?.record ?? null, text) || !found) throw refuse('Unknown API key.');
    return this.#acceptKey(found);
  }

  #acceptKey(found: FoundKey): Promise<Principal> {
    const ended = whyEnded(found, Date.now());
    if (ended) {
      const what = found.parent ? 'token' : 'API key';
      throw refuse(ended === 'revoked' ? `The ${what} was revoked.` : `The ${what} has expired.`);
    }
    this.#options.onKeyUsed(found.parent?.id ?? found.record.id);
    return this.#bindTenant(describeKey(found));
  }

  /** Adds the tenant's limits to the caller's own, and gives it the tenant's weight if one is set. */
  async #bindTenant(caller: Principal): Promise<Principal> {
    const { tenants, tenantRules } = this.#options;
    // A request that needs Redis fails there. Until then the server's settings apply.
    const set = await tenants.find(caller.tenant).catch(() => null);
    const rules = set?.limits === undefined ? tenantRules : (parseLimits(set.limits, 'tenant') ?? tenantRules);
    const { limits, quotas } = caller.rules;
    if (!hasLimits(rules) && set?.weight === undefined) return caller;
    return {
      ...caller,
      weight: set?.weight ?? caller.weight,
      rules: { limits: [...rules.limits, ...limits], quotas: [...rules.quotas, ...quotas] },
    };
  }
}

/** A token can do no more than its key can now. */
function describeKey({ record, parent }: FoundKey): Principal {
  const scopes = parent ? record.scopes.filter((scope) => parent.scopes.includes(scope)) : record.scopes;
  const models = parent?.models
    ? (record.models ?? parent.models).filter((model) => parent.models?.includes(model))
    : record.models;
  const key = parent ?? record;
  const ends = [record.expiresAtMs, parent?.expiresAtMs].filter((end) => end !== undefined);
  return {
    kind: parent ? 'token' : 'key',
    tenant: key.tenant,
    keyId: key.id,
    weight: key.weight,
    scopes: new Set(scopes),
    models: models && new Set(models),
    expiresAtMs: ends.length > 0 ? Math.min(...ends) : undefined,
    credential: record.id,
    bucket: key.tenant,
    rules: parseLimits(key.limits, `key:${key.id}`) ?? NO_LIMITS,
    idempotencyScope: undefined,
  };
}

function refuse(message: string): InferqlError {
  return new InferqlError('UNAUTHENTICATED', { message });
}
