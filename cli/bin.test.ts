import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const command = join(import.meta.dirname, 'bin/inferql.mjs');

/** Runs the command as if Node were of another version. */
function runWith(version: string) {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`;
  const options = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
  return promisify(execFile)(process.execPath, [...options, command, '--version']).then(
    () => ({ code: 0, stderr: '' }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
  );
}

test.each(['18.20.8', '20.19.9'])(
  'Node %s is too old, which the command says instead of failing to load',
  async (version) => {
    const { code, stderr } = await runWith(version);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^InferQL needs Node 20\\.20 or later, and this is ${version} \\(.*nodejs\\.org\n$`),
    );
  },
);

test.each(['20.20.0', '22.1.0', '24.0.0'])('Node %s is new enough', async (version) => {
  // Without a build, it says that one is needed.
  expect((await runWith(version)).stderr).not.toContain('needs Node');
});
