/** Callers that a host application identifies with its `authenticate` option. */

import { NO_LIMITS } from '@inferql/queue/access/limit-rules';
import { SCOPES, type Scope } from '@inferql/queue/access/scopes';
import { TenantName, Weight } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { Principal } from './principal.ts';

/** The caller, as a host application describes it. */
export interface CustomCaller {
  /** The tenant that predictions belong to: other tenants can neither read, watch nor cancel them. */
  tenant: string;
  /** What it may do. @default all */
  scopes?: readonly Scope[] | undefined;
  /** The models that it may use. @default all */
  models?: readonly string[] | undefined;
  /** Its share of the workers, relative to other tenants. @default 1 */
  weight?: number | undefined;
  /** When its subscriptions end, in Unix milliseconds. @default never */
  expiresAtMs?: number | undefined;
}

/** What a host application can use to decide. */
export interface Credentials {
  /** The header, or `authorization` of a WebSocket's connectionParams. */
  authorization: string | undefined;
  /** Any header of the request, for example `cookie`. */
  header(name: string): string | undefined;
}

export type CustomAuthenticate = (
  credentials: Credentials,
) => CustomCaller | null | undefined | Promise<CustomCaller | null | undefined>;

/**
 * @throws InferqlError UNAUTHENTICATED if there is no caller; TypeError if the host application returned an unusable one
 */
export function describeCustomCaller(caller: CustomCaller | null | undefined): Principal {
  if (!caller) throw new InferqlError('UNAUTHENTICATED');
  const { tenant, scopes = SCOPES, models, weight = 1, expiresAtMs } = caller;
  if (!TenantName.safeParse(tenant).success) {
    throw new TypeError("authenticate: 'tenant' must be 1 to 128 letters, digits or any of ._@:|/+=-");
  }
  // A string would be taken apart into its letters.
  if (!Array.isArray(scopes) || !scopes.every((scope) => SCOPES.includes(scope))) {
    throw new TypeError(`authenticate: 'scopes' must be an array of ${SCOPES.join(', ')}`);
  }
  if (models !== undefined && !(Array.isArray(models) && models.every((model) => typeof model === 'string'))) {
    throw new TypeError("authenticate: 'models' must be an array of names");
  }
  if (expiresAtMs !== undefined && !Number.isFinite(expiresAtMs)) {
    throw new TypeError("authenticate: 'expiresAtMs' must be a number of Unix milliseconds");
  }
  if (!Weight.safeParse(weight).success) throw new TypeError("authenticate: 'weight' must be between 0.01 and 100");
  return {
    kind: 'custom',
    tenant,
    keyId: undefined,
    weight,
    scopes: new Set(scopes),
    models: models && new Set(models),
    expiresAtMs,
    credential: `${tenant} ${expiresAtMs ?? ''}`,
    bucket: tenant,
    rules: NO_LIMITS,
    idempotencyScope: undefined,
  };
}
