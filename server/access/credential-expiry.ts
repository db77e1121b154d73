/** Until when the server accepts a credential, although its clock and the identity provider's differ. */
import type { Principal } from './principal.ts';

/** How far the clocks of an identity provider and the server may differ. */
export const CLOCK_TOLERANCE_MS = 5_000;

/** When the server stops accepting it, in Unix milliseconds; undefined: it does not. */
export function acceptedUntilMs({ kind, expiresAtMs }: Pick<Principal, 'kind' | 'expiresAtMs'>): number | undefined {
  return kind === 'jwt' && expiresAtMs !== undefined ? expiresAtMs + CLOCK_TOLERANCE_MS : expiresAtMs;
}

/** @param nowMs Unix milliseconds */
export function hasExpired(principal: Pick<Principal, 'kind' | 'expiresAtMs'>, nowMs: number): boolean {
  const endMs = acceptedUntilMs(principal);
  return endMs !== undefined && endMs <= nowMs;
}
