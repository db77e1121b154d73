/** The cache of checked tokens. server/test/access/jwt.test.ts has what is checked. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as jose from 'jose';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createJwtVerifier } from './jwt.ts';

vi.mock('jose', async (load) => {
  const real = await load<typeof jose>();
  return { ...real, jwtVerify: vi.fn(real.jwtVerify) };
});

const KEPT = 100;
const [ISSUER, AUDIENCE] = ['https://id.example', 'inferql'];

test('however many tokens callers show, only the last ones are kept, and each caller gets its own', async () => {
  const { privateKey, publicKey } = await jose.generateKeyPair('EdDSA');
  const keys = [{ ...(await jose.exportJWK(publicKey)), kid: 'one', alg: 'EdDSA' }];
  const provider = createServer((_request, response) => response.end(JSON.stringify({ keys }))).listen(0, '127.0.0.1');
  await once(provider, 'listening');
  onTestFinished(() => {
    provider.closeAllConnections();
    provider.close();
  });
  const settings = {
    jwksUrl: `http://127.0.0.1:${(provider.address() as AddressInfo).port}/`,
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ['EdDSA'],
    tenantClaim: 'tenant',
    scopesClaim: 'scope',
    modelsClaim: 'models',
  };
  const verifier = createJwtVerifier(settings, KEPT);
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const sign = (n: number) =>
    new jose.SignJWT({ iss: ISSUER, aud: AUDIENCE, tenant: `tenant-${n}`, scope: 'read', exp })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'one' })
      .sign(privateKey);
  const tokens: string[] = [];
  const tenantOf = async (n: number) => (await verifier.verify(tokens[n]!)).tenant;
  for (let n = 0; n <= KEPT; n++) {
    tokens.push(await sign(n));
    expect(await tenantOf(n)).toBe(`tenant-${n}`);
  }
  const countChecks = () => vi.mocked(jose.jwtVerify).mock.calls.length;
  expect(countChecks()).toBe(KEPT + 1);
  for (const kept of [1, KEPT >> 1, KEPT]) expect(await tenantOf(kept)).toBe(`tenant-${kept}`);
  expect(countChecks()).toBe(KEPT + 1);
  // Forgotten, so it is checked again, which evicts the next one.
  for (const [n, count] of [
    [0, KEPT + 2],
    [0, KEPT + 2],
    [1, KEPT + 2],
    [2, KEPT + 3],
  ] as const) {
    expect(await tenantOf(n)).toBe(`tenant-${n}`);
    expect(countChecks()).toBe(count);
  }
});
