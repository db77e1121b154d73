import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { promisify } from 'node:util';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { waitForExternalRedis } from './external-redis.ts';

const run = promisify(execFile);
let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

/** Every refusal here is final, so it ends the wait. */
const wait = (url: string) => waitForExternalRedis(url, 60_000, (_title, work) => work());

test('a database that Redis does not have is refused at once: a connection would use database 0', async () => {
  await wait(`${redis.url}/15`);
  await expect(wait(`${redis.url}/99`)).rejects.toThrow(/select database 99, which REDIS_URL names \(ERR /);
});

test('a login that is refused says what to check', async () => {
  const url = redis.url.replace('//', '//nobody:secret@');
  await expect(wait(url)).rejects.toThrow(/refuses the login .*WRONGPASS.*\nCheck the user and the password/);
});

test('a certificate of an unknown authority says how that becomes known', async () => {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(redis.dir, name)) as [string, string];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const args = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    key,
    '-out',
    cert,
    ...subject,
  ];
  await run('openssl', args);
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }).on('tlsClientError', () => {});
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await expect(wait(`rediss://localhost:${port}?family=4`)).rejects.toThrow(
    /cannot be checked: self-signed certificate\.\nSet NODE_EXTRA_CA_CERTS/,
  );
});
