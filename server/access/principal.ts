import { SCOPES, type Scope } from '@inferql/queue/api-keys';
import { ANONYMOUS_CALLER, type Caller } from '@inferql/queue/contract';

/** Who sends a request, as the server sees it, and what that caller may do. */
export interface Principal extends Caller {
  /** `custom`: as a host application's `authenticate` said. */
  kind: 'anonymous' | 'key' | 'token' | 'jwt' | 'custom';
  scopes: ReadonlySet<Scope>;
  /** The models that it may use; undefined: all. */
  models: ReadonlySet<string> | undefined;
  /** When it ends, in Unix milliseconds; undefined: it does not. */
  expiresAtMs: number | undefined;
  /** The one credential that was shown, without its secret: two requests with the same one have the same text. */
  credential: string;
}

/** Every caller if authentication is off. */
export const ANONYMOUS: Principal = {
  ...ANONYMOUS_CALLER,
  kind: 'anonymous',
  scopes: new Set(SCOPES),
  models: undefined,
  expiresAtMs: undefined,
  credential: 'anonymous',
};

export function mayUseModel({ models }: Pick<Principal, 'models'>, model: string): boolean {
  return models === undefined || models.has(model);
}
