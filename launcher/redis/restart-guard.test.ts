import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { expect, onTestFinished, test } from 'vitest';
import { GUARD_SCRIPT } from './restart-guard.ts';

test('a Redis that ends again and again is started at longer and longer intervals', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'inferql-guard-'));
  onTestFinished(() => removeFolder(dir));
  const path = (name: string) => join(dir, name);
  mkdirSync(path('bin'));
  writeFileSync(path('guard.sh'), GUARD_SCRIPT);
  writeFileSync(path('redis.conf'), '');
  writeFileSync(path('redis'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  // Notes how long it should have waited.
  writeFileSync(path('bin/sleep'), `#!/bin/sh\necho "$1" >>"${path('delays')}"\n`, { mode: 0o755 });
  const guard = spawn('sh', [path('guard.sh')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      PATH: `${path('bin')}:${process.env.PATH}`,
      GUARDED_REDIS: path('redis'),
      GUARDED_REDIS_CONF: path('redis.conf'),
    },
  });
  const closed = once(guard, 'close');
  let ends = 0;
  for await (const line of createInterface({ input: guard.stdout })) {
    if (line === 'ended 1' && ++ends === 6) guard.stdin.end();
  }
  expect(await closed).toEqual([0, null]);
  expect(readFileSync(path('delays'), 'utf8').split('\n').slice(0, 5)).toEqual(['0.3', '1', '2', '5', '5']);
});
