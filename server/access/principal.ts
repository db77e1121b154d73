/** The principal: who sends a request, and what that caller may do. */

import { NO_LIMITS } from '@inferql/queue/access/limit-rules';
import type { LimitRules } from '@inferql/queue/access/rate-limiter';
import { SCOPES, type Scope } from '@inferql/queue/access/scopes';
import { ANONYMOUS_CALLER, type Caller } from '@inferql/queue/contract';

/** Who sends a request, as the server sees it, and what that caller may do. */
export interface Principal extends Caller {
  /** `custom`: from a host application's `authenticate`. */
  kind: 'anonymous' | 'key' | 'token' | 'jwt' | 'custom';
  scopes: ReadonlySet<Scope>;
  /** The models that it may use; undefined: all. */
  models: ReadonlySet<string> | undefined;
  /** When it ends, in Unix milliseconds; undefined: it does not. The server may accept it a little longer: `hasExpired`. */
  expiresAtMs: number | undefined;
  /** Identifies the credential, without its secret: requests with the same credential have the same text. */
  credential: string;
  /** The unit that limits count: the tenant, or an anonymous caller's address. */
  bucket: string;
  rules: LimitRules;
  /** Separates the idempotency keys of anonymous callers; a tenant's callers share theirs. */
  idempotencyScope: string | undefined;
}

/** Every caller if authentication is off. */
export const ANONYMOUS: Principal = {
  ...ANONYMOUS_CALLER,
  kind: 'anonymous',
  scopes: new Set(SCOPES),
  models: undefined,
  expiresAtMs: undefined,
  credential: 'anonymous',
  bucket: 'anonymous',
  rules: NO_LIMITS,
  idempotencyScope: undefined,
};

export function mayUseModel({ models }: Pick<Principal, 'models'>, model: string): boolean {
  return models === undefined || models.has(model);
}
