import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findRepository, toPublicUrl } from './repository-url.ts';

test.each([
  ['https://git.example.org/team/inferql', 'git+https://git.example.org/team/inferql.git'],
  ['https://git.example.org/team/inferql.git\n', 'git+https://git.example.org/team/inferql.git'],
  ['git@git.example.org:team/inferql.git', 'git+https://git.example.org/team/inferql.git'],
  ['ssh://git@git.example.org:2222/team/inferql.git', 'git+https://git.example.org/team/inferql.git'],
  ['/srv/clones/inferql', undefined],
  ['file:///srv/clones/inferql', undefined],
  ['../inferql', undefined],
  ['', undefined],
])('the public address of %j', (remote, expected) => {
  expect(toPublicUrl(remote)).toBe(expected);
});

test('a token in the address of the remote is not published', () => {
  const url = toPublicUrl('https://someone:s3cret@git.example.org/team/inferql.git');
  expect(url).toBe('git+https://git.example.org/team/inferql.git');
});

test('the CI names the repository; otherwise the clone does', () => {
  const dir = mkdtempSync(join(tmpdir(), 'inferql-repository-'));
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: dir, stdio: 'ignore' });
    git('init');
    expect(findRepository(dir, {})).toBeUndefined();
    git('remote', 'add', 'origin', 'git@git.example.org:fork/inferql.git');
    expect(findRepository(dir, {})).toBe('git+https://git.example.org/fork/inferql.git');
    const env = { GITHUB_SERVER_URL: 'https://git.example.org', GITHUB_REPOSITORY: 'team/inferql' };
    expect(findRepository(dir, env)).toBe('git+https://git.example.org/team/inferql.git');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
