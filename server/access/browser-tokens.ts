/** Creates browser tokens: short-lived credentials with at most the rights of a key. */
import { type KeyStore, whyInvalid } from '@inferql/queue/access/api-keys';
import type { Scope } from '@inferql/queue/access/scopes';
import { InferqlError } from '@inferql/queue/error-codes';
import { mayUseModel, type Principal } from './principal.ts';

const MAX_TTL_SECONDS = 86_400;
const MAX_MODELS = 100;

export interface TokenRequest {
  scopes: readonly Scope[];
  /** undefined: those of the key. */
  models: readonly string[] | undefined;
  ttlSeconds: number;
}

export interface CreatedToken {
  token: string;
  scopes: Scope[];
  models: string[] | undefined;
  expiresAtMs: number;
}

/**
 * Creates a browser token that acts for the caller's API key.
 * @throws InferqlError INVALID_INPUT; FORBIDDEN if it asks for more than the key has, or the caller has no key
 */
export async function createToken(
  store: Pick<KeyStore, 'find' | 'createToken'>,
  caller: Principal,
  { scopes, models, ttlSeconds }: TokenRequest,
): Promise<CreatedToken> {
  if (ttlSeconds < 1 || ttlSeconds > MAX_TTL_SECONDS) {
    throw new InferqlError('INVALID_INPUT', { message: `ttlSeconds must be between 1 and ${MAX_TTL_SECONDS}.` });
  }
  if (scopes.length === 0) throw new InferqlError('INVALID_INPUT', { message: 'scopes must not be empty.' });
  if (models && models.length > MAX_MODELS) {
    throw new InferqlError('INVALID_INPUT', { message: `models has more than ${MAX_MODELS} names.` });
  }
  if (caller.kind !== 'key' || caller.keyId === undefined) {
    throw new InferqlError('FORBIDDEN', { message: 'Only an API key can create tokens.' });
  }
  const excess = scopes.find((scope) => scope === 'tokens' || !caller.scopes.has(scope));
  if (excess)
    throw new InferqlError('FORBIDDEN', { message: `A token of this key cannot have the scope '${excess}'.` });
  const foreign = models?.find((model) => !mayUseModel(caller, model));
  if (foreign !== undefined) throw new InferqlError('FORBIDDEN', { message: 'The key may not use one of the models.' });
  // Read now, not from the cache.
  const key = await store.find(caller.keyId);
  if (!key || whyInvalid(key, Date.now())) throw new InferqlError('UNAUTHENTICATED');
  const expiresAtMs = Math.min(Date.now() + ttlSeconds * 1_000, key.expiresAtMs ?? Number.POSITIVE_INFINITY);
  const { text, record } = await store.createToken(key, { scopes: [...new Set(scopes)], models, expiresAtMs });
  return { token: text, scopes: record.scopes, models: record.models, expiresAtMs };
}
