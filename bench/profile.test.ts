import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { readProfile } from './profile.ts';

test('a function of a bundle counts to the package that it came from', () => {
  const dir = mkdtempSync(join(tmpdir(), 'inferql-profile-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const bundle = join(dir, 'server/main.js');
  // The first line is of graphql, the second of no module.
  const sources = ['../node_modules/graphql/execution/execute.mjs'];
  const map = { version: 3, sources, names: [], mappings: 'AAAA;' };
  const url = pathToFileURL(join(dir, 'main.js')).href;
  const frame = (functionName: string, lineNumber: number, place = url) => ({
    callFrame: { functionName, url: place, lineNumber, columnNumber: 0 },
  });
  const profile = {
    nodes: [
      { id: 1, ...frame('(root)', -1, ''), children: [2, 3] },
      { id: 2, ...frame('executeField', 0) },
      { id: 3, ...frame('listen', 4, pathToFileURL(bundle).href) },
    ],
    samples: [2, 3],
    timeDeltas: [3_000, 1_000],
  };
  writeFileSync(join(dir, 'main.js.map'), JSON.stringify(map));
  writeFileSync(join(dir, 'CPU.cpuprofile'), JSON.stringify(profile));
  const { parts, top } = readProfile(dir);
  expect(parts).toEqual({ GraphQL: 3, server: 1 });
  expect(top[0]!.name).toBe('executeField graphql/execution/execute.mjs:1');
});
