/** Verifies tokens of an identity provider against its published keys. */
import { createHash } from 'node:crypto';
import { NO_LIMITS } from '@inferql/queue/access/limit-rules';
import { SCOPES, type Scope } from '@inferql/queue/access/scopes';
import { ANONYMOUS_TENANT, ModelName, TenantName } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { CLOCK_TOLERANCE_MS, hasExpired } from './credential-expiry.ts';
import type { Principal } from './principal.ts';

/** Keys are fetched again after this; for an unknown key at once, but at most every half minute. */
const KEYS_MAX_AGE_MS = 10 * 60_000;
const KEYS_COOLDOWN_MS = 30_000;
const KEYS_TIMEOUT_MS = 3_000;
/** Number of checked tokens that are cached while valid, each for as long as the keys, so that a key that the provider withdraws ends them. */
const MAX_CHECKED = 10_000;

export interface JwtSettings {
  jwksUrl: string;
  issuer: string;
  audience: string;
  algorithms: readonly string[];
  /** Names of claims; a dot leads into an object. */
  tenantClaim: string;
  scopesClaim: string;
  modelsClaim: string;
}

export type JwtVerifier = ReturnType<typeof createJwtVerifier>;

/**
 * Tokens of an identity provider, checked against its published keys.
 * @param maxChecked how many checked tokens are cached
 */
export function createJwtVerifier(settings: JwtSettings, maxChecked = MAX_CHECKED) {
  const published = createRemoteJWKSet(new URL(settings.jwksUrl), {
    cacheMaxAge: KEYS_MAX_AGE_MS,
    cooldownDuration: KEYS_COOLDOWN_MS,
    timeoutDuration: KEYS_TIMEOUT_MS,
  });
  /** A failure of the provider does not make the token invalid. */
  const findKey: JWTVerifyGetKey = async (header, token) => {
    try {
      return await published(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      if (error instanceof errors.JOSENotSupported) throw error;
      const message = 'The keys of the identity provider cannot be read now.';
      throw new InferqlError('UNAVAILABLE', { message, retryAfterMs: 5_000, cause: error });
    }
  };
  /** By digest: a token in memory could be stolen. */
  const checked = new LRUCache<string, Principal>({
    max: maxChecked,
    ttl: KEYS_MAX_AGE_MS,
    perf: { now: () => performance.now() },
  });

  async function verify(token: string, digest: string): Promise<Principal> {
    let payload: JWTPayload;
    try {
      ({ payload } = await jwtVerify(token, findKey, {
        issuer: settings.issuer,
        audience: settings.audience,
        algorithms: [...settings.algorithms],
        clockTolerance: CLOCK_TOLERANCE_MS / 1_000,
        requiredClaims: ['exp'],
      }));
    } catch (error) {
      throw describeFailure(error);
    }
    const tenant = TenantName.safeParse(readClaim(payload, settings.tenantClaim));
    // A provider may let its customers choose their names: none of them may get what belongs to callers without one.
    if (!tenant.success || tenant.data === ANONYMOUS_TENANT) {
      throw refuse(`The token has no tenant in its claim '${settings.tenantClaim}'.`);
    }
    return {
      kind: 'jwt',
      tenant: tenant.data,
      keyId: undefined,
      weight: 1,
      scopes: new Set(readScopes(readClaim(payload, settings.scopesClaim))),
      models: readModels(readClaim(payload, settings.modelsClaim)),
      expiresAtMs: payload.exp! * 1_000,
      credential: digest,
      bucket: tenant.data,
      rules: NO_LIMITS,
      idempotencyScope: undefined,
    };
  }

  return {
    /**
     * @throws InferqlError UNAUTHENTICATED; UNAVAILABLE if the provider's keys cannot be read
     */
    async verify(token: string): Promise<Principal> {
      const digest = createHash('sha256').update(token).digest('base64url');
      const known = checked.get(digest);
      if (known) {
        if (!hasExpired(known, Date.now())) return known;
        checked.delete(digest);
      }
      const principal = await verify(token, digest);
      checked.set(digest, principal);
      return principal;
    },
  };
}

function describeFailure(error: unknown): InferqlError {
  if (error instanceof InferqlError) return error;
  if (error instanceof errors.JWTExpired) return refuse('The token has expired.');
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refuse(`The token is not for this server: its claim '${error.claim}' is missing or wrong.`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return refuse('The token is signed with an algorithm that is not allowed.');
  return refuse('The token is invalid.');
}

/** A claim's name may contain dots, as URLs do. */
function readClaim(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

const wordsOf = (claim: unknown): string[] =>
  (Array.isArray(claim) ? claim : typeof claim === 'string' ? claim.split(/[ ,]+/) : []).filter(
    (word): word is string => typeof word === 'string' && word !== '',
  );

/** Scopes of other services are ignored; InferQL's may have a prefix that distinguishes them. */
function readScopes(claim: unknown): Scope[] {
  const words = wordsOf(claim).map((word) => word.replace(/^inferql:/, ''));
  // Browser tokens are created with keys; a provider issues short-lived tokens directly.
  return SCOPES.filter((scope) => scope !== 'tokens' && words.includes(scope));
}

/** Absent: all. Present and unusable: none. */
function readModels(claim: unknown): Set<string> | undefined {
  return claim === undefined ? undefined : new Set(wordsOf(claim).filter((word) => ModelName.safeParse(word).success));
}

function refuse(message: string): InferqlError {
  return new InferqlError('UNAUTHENTICATED', { message });
}
