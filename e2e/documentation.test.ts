/** What the documentation names exists: the pages and files that it links to, the paths of the repository, the commands. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { ERRORS } from '@inferql/queue/error-codes';
import { projectDir } from '@inferql/testing/build';
import { assertInterfaceType, buildSchema, parse, validate } from 'graphql';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';

const SKIPPED = /(^|\/)(node_modules|dist|\.git|\.inferql|tarballs|generated)(\/|$)/;
const entries = listEntries('');
const files = entries.filter((path) => !path.endsWith('/'));
const pages = files.filter((path) => path.endsWith('.md')).map((path) => ({ path, text: read(path) }));
const schema = buildSchema(read('schema.graphql'));
const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(read('package.json')));

/** Paths below the project, folders with a slash at the end. */
function listEntries(folder: string): string[] {
  return readdirSync(join(projectDir, folder), { withFileTypes: true })
    .map((entry) => ({ entry, path: join(folder, entry.name) }))
    .filter(({ path }) => !SKIPPED.test(path))
    .flatMap(({ entry, path }) => (entry.isDirectory() ? [`${path}/`, ...listEntries(path)] : [path]));
}

function read(path: string): string {
  return readFileSync(join(projectDir, path), 'utf8');
}

/** The anchors of a page's headings, as GitHub makes them. */
function listAnchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(pages)('$path', ({ path, text }) => {
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');

  test('links to files and headings that exist', () => {
    const missing = [...prose.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => {
        const [target = '', anchor] = link.split('#');
        const linked = target === '' ? path : normalize(join(dirname(path), target));
        if (!entries.some((entry) => entry === linked || entry === `${linked.replace(/\/$/, '')}/`)) return true;
        return anchor !== undefined && !listAnchors(read(linked)).includes(anchor);
      });
    expect(missing).toEqual([]);
  });

  // The changelog names files as they were.
  if (path !== 'CHANGELOG.md')
    test('names paths of the repository that exist', () => {
      const named = [
        ...prose.matchAll(/`((?:[\w@.*<>-]+\/)*(?:[\w.*<>-]+\.(?:tsx?|mjs|lua|md|sh|py|graphql))|(?:[\w<>-]+\/)+)`/g),
      ]
        .map(([, name]) => name!)
        .filter((name) => !SKIPPED.test(name) && !EXAMPLES.has(name));
      expect(named.filter((name) => !entries.some((entry) => matches(entry, name)))).toEqual([]);
    });

  test('has GraphQL documents that fit the schema', () => {
    const documents = [...text.matchAll(/^```graphql\n([\s\S]*?)^```$/gm)].map(([, document]) => document!);
    const operations = documents.filter((document) => /^\s*(query|mutation|subscription|\{)/.test(document));
    expect(operations.flatMap((operation) => validate(schema, parse(operation)).map(String))).toEqual([]);
  });

  test('names scripts that package.json has', () => {
    const named = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

test('the API guide lists every error code where it arrives', () => {
  const rows = read('docs/api.md').match(/^\| .+ \|$/gm)!;
  const missing = Object.entries(ERRORS).filter(([code, { delivery }]) => {
    const place = { member: 'a member of', state: '`Prediction.error`', error: '(`errors`|the response)' }[delivery];
    return !rows.some((row) => new RegExp(`^\\| ${place}.*\`${code}\``).test(row));
  });
  expect(missing).toEqual([]);
});

test('the API guide tells caches every type that `... on Error` means', () => {
  const [, listed] = /possibleTypes: \{\s+Error: \[([^\]]+)\]/.exec(read('docs/api.md'))!;
  const types = schema.getPossibleTypes(assertInterfaceType(schema.getType('Error'))).map(({ name }) => name);
  expect([...listed!.matchAll(/'(\w+)'/g)].map(([, name]) => name).sort()).toEqual(types.sort());
});

/** Files that readers make. */
const EXAMPLES = new Set(['inferql-models.d.ts', 'engine.mjs']);

/** Whether a path ends with the named one, as `contract.ts` in the row of `queue/`. */
function matches(entry: string, name: string): boolean {
  const pattern = name
    .replace(/[.+]/g, '\\$&')
    .replaceAll('**', '\0')
    .replaceAll('*', '[^/]*')
    .replaceAll('\0', '.*')
    .replace(/<[\w-]+>/g, '[^/]+');
  return new RegExp(`(^|/)${pattern}$`).test(entry);
}

test('every page of docs/ is in its table of contents', () => {
  const index = read('docs/README.md');
  const others = files.filter((path) => /^docs\/[^/]+\.md$/.test(path) && path !== 'docs/README.md');
  expect(others.map((path) => relative('docs', path)).filter((name) => !index.includes(`(${name})`))).toEqual([]);
});
