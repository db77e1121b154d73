import { isKeyText, looksLikeKey, readKeyId } from '@inferql/queue/api-keys';
import { InferqlError } from '@inferql/queue/errors';
import { type Credentials, type CustomAuthenticate, describeCustomCaller } from './custom.ts';
import { type FoundKey, type KeyCache, whyEnded } from './key-cache.ts';
import { ANONYMOUS, type Principal } from './principal.ts';

export type AuthMode = 'off' | 'off-and-public' | 'keys' | 'jwt' | 'keys+jwt';

/** Larger than any token that fits into the headers of common servers. */
const MAX_CREDENTIAL_LENGTH = 8_192;
const BEARER = /^bearer +([\x21-\x7e]+) *$/i;

export type Authenticator = ReturnType<typeof createAuthenticator>;

/** The one place that decides who a caller is, for HTTP, server-sent events and WebSockets alike. */
export function createAuthenticator(options: {
  mode: AuthMode;
  keys: KeyCache;
  /** Called with the id of each key that was accepted. */
  onKeyUsed(id: string): void;
  /** A host application's, instead of all others. */
  custom: CustomAuthenticate | undefined;
}) {
  const { mode, keys, onKeyUsed, custom } = options;
  const isOff = !custom && (mode === 'off' || mode === 'off-and-public');
  const takesKeys = mode === 'keys' || mode === 'keys+jwt';

  async function authenticateKey(text: string): Promise<Principal> {
    const id = readKeyId(text);
    if (id === undefined) throw refuse('The API key is incomplete or mistyped.');
    const found = await keys.find(id);
    if (!isKeyText(found?.record ?? null, text) || !found) throw refuse('The API key is not known.');
    return acceptKey(found);
  }

  function acceptKey(found: FoundKey): Principal {
    const ended = whyEnded(found, Date.now());
    if (ended) {
      const what = found.parent ? 'token' : 'API key';
      throw refuse(ended === 'revoked' ? `The ${what} was revoked.` : `The ${what} has expired.`);
    }
    onKeyUsed(found.parent?.id ?? found.record.id);
    return describeKey(found);
  }

  return {
    /** Whether callers must say who they are. */
    isOn: !isOff,

    /**
     * @param authorization the value of the header, or of `authorization` in a WebSocket's connectionParams
     * @param header any other header of the request
     * @throws InferqlError UNAUTHENTICATED; UNAVAILABLE if Redis must be asked and does not answer
     */
    async authenticate(authorization: string | null | undefined, header: Credentials['header']): Promise<Principal> {
      if (custom) return describeCustomCaller(await custom({ authorization: authorization ?? undefined, header }));
      if (isOff) return ANONYMOUS;
      if (!authorization) throw new InferqlError('UNAUTHENTICATED');
      const credential = authorization.length <= MAX_CREDENTIAL_LENGTH ? BEARER.exec(authorization)?.[1] : undefined;
      if (credential === undefined) throw refuse('Expected the header `Authorization: Bearer KEY`.');
      if (takesKeys && looksLikeKey(credential)) return authenticateKey(credential);
      throw refuse('The credential is not an API key of this server.');
    },

    /**
     * Whether a caller who was let in is still allowed in, and with which rights.
     * @throws InferqlError UNAUTHENTICATED if it was revoked or has expired
     */
    async authenticateAgain(principal: Principal): Promise<Principal> {
      switch (principal.kind) {
        case 'anonymous':
          return principal;
        case 'key':
        case 'token': {
          const found = await keys.find(principal.credential);
          if (!found) throw refuse('The API key is not known.');
          return acceptKey(found);
        }
        case 'jwt':
        case 'custom':
          if (principal.expiresAtMs !== undefined && principal.expiresAtMs <= Date.now()) {
            throw refuse('The token has expired.');
          }
          return principal;
        default:
          return principal.kind satisfies never;
      }
    },
  };
}

/** A token can do no more than its key can now. */
function describeKey({ record, parent }: FoundKey): Principal {
  const scopes = parent ? record.scopes.filter((scope) => parent.scopes.includes(scope)) : record.scopes;
  const models = parent?.models
    ? (record.models ?? parent.models).filter((model) => parent.models?.includes(model))
    : record.models;
  const ends = [record.expiresAtMs, parent?.expiresAtMs].filter((end) => end !== undefined);
  return {
    kind: parent ? 'token' : 'key',
    tenant: parent?.tenant ?? record.tenant,
    keyId: parent?.id ?? record.id,
    weight: parent?.weight ?? record.weight,
    scopes: new Set(scopes),
    models: models && new Set(models),
    expiresAtMs: ends.length > 0 ? Math.min(...ends) : undefined,
    credential: record.id,
  };
}

function refuse(message: string): InferqlError {
  return new InferqlError('UNAUTHENTICATED', { message });
}
