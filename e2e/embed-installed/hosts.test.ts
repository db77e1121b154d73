/** InferQL inside each host of examples/embed/, all in one installation. */
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Program } from '@inferql/testing/packages/installed-packages';
import { testHost } from './host.fixture.ts';
import { setUpPrograms } from './programs.fixture.ts';

const programs = setUpPrograms();

testHost(programs, { name: 'Express', gray: 10, hasWebSockets: true });
testHost(programs, { name: 'Fastify', gray: 20, hasWebSockets: true });
testHost(programs, { name: 'Hono', gray: 30, hasWebSockets: true });
testHost(programs, { name: 'Yoga', gray: 40, hasWebSockets: false });
testHost(programs, { name: 'Next.js', gray: 50, hasWebSockets: false, start: startNext });

async function startNext(): Promise<Program> {
  const { dir, start } = programs.require(() => undefined);
  const next = join(dir, 'node_modules/next/dist/bin/next');
  // Next.js does not accept a root folder that contains the home folder.
  const env = {
    PATH: process.env.PATH!,
    HOME: tmpdir(),
    NEXT_TELEMETRY_DISABLED: '1',
    NODE_ENV: 'production' as const,
  };
  await promisify(execFile)(process.execPath, [next, 'build'], { cwd: join(dir, 'next'), env });
  return start([next, 'start', 'next', '--hostname', '127.0.0.1', '--port', '0'], /(http:\/\/127\.0\.0\.1:\d+)/, {
    REDIS_URL: programs.redis.url,
    NODE_ENV: 'production',
  });
}
