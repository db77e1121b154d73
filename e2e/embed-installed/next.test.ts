import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Program } from '@inferql/testing/installed';
import { testHost } from './host.fixture.ts';
import type { Programs } from './programs.fixture.ts';

testHost({ name: 'Next.js', hasWebSockets: false, start: startNext });

async function startNext(programs: Programs): Promise<Program> {
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
