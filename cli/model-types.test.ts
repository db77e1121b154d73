/** The printed declarations, checked by the compiler against the real client. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { printModelTypes } from './model-types.ts';

const projectDir = join(import.meta.dirname, '..');
let dir: string;

beforeAll(() => {
  // Inside the project, so that the client is found.
  mkdirSync(join(projectDir, '.inferql'), { recursive: true });
  dir = mkdtempSync(join(projectDir, '.inferql/model-types-'));
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The compiler's messages about a program next to the declarations. */
function compile(declarations: string, program: string): string {
  writeFileSync(join(dir, 'models.d.ts'), declarations);
  writeFileSync(join(dir, 'program.ts'), program);
  const options =
    '--ignoreConfig --noEmit --strict --skipLibCheck --allowImportingTsExtensions --module nodenext --target es2023 --types node';
  const tsc = join(projectDir, 'node_modules/typescript/bin/tsc');
  try {
    execFileSync(process.execPath, [tsc, ...options.split(' '), 'models.d.ts', 'program.ts'], {
      cwd: dir,
      stdio: 'pipe',
    });
    return '';
  } catch (error) {
    return String((error as { stdout: Buffer }).stdout);
  }
}

const declarations = printModelTypes([
  {
    name: 'cats',
    version: '0123456789ab',
    labels: ['tabby', 'siamese', 'tabby'],
    heads: { color: ['black', 'white'], 'coat-length': ['short', 'long'] },
  },
  { name: 'vectors', version: '0123456789ab', labels: [], heads: {} },
  { name: 'odd-names', version: '0123456789ab', labels: ['"', "'", '*/', '\n', '\u2028', '`$`', '\\'] },
]);

test('label names of a model are typed, those of others are text, and a wrong one does not compile', () => {
  const program = `import { createClient } from '@inferql/client';
    const client = createClient();
    export async function run(image: Blob) {
      const cat: 'tabby' | 'siamese' | undefined = (await client.classify(image, { model: 'cats' })).result.labels.map((label) => label.name)[0];
      const other: string | undefined = (await client.classify(image, { model: 'dogs' })).result.labels[0]?.name;
      const any: string | undefined = (await client.classify(image)).result.labels[0]?.name;
      return [cat, other, any];
    }`;
  expect(compile(declarations, program)).toBe('');
  const wrong = program.replace("'tabby' | 'siamese' | undefined", "'poodle' | undefined");
  expect(compile(declarations, wrong)).toContain('poodle');
});

test('labels may contain anything', () => {
  const program = `import type { LabelName } from '@inferql/client';
    export const names: LabelName<'odd-names'>[] = ['"', "'", '*/', '\\n', '\\u2028', '\`$\`', '\\\\'];`;
  expect(compile(declarations, program)).toBe('');
});

test('a version cannot end its comment', () => {
  const hostile = printModelTypes([
    { name: 'cats', version: '**/ } } export const injected = 1; /*', labels: ['tabby'] },
  ]);
  const code = hostile.replace(/\/\*.*?\*\//gs, '');
  expect(code).not.toContain('injected');
  expect(code).toContain('"tabby"');
});

test('heads of a model are typed by their names, those of others are text', () => {
  const program = `import { createClient } from '@inferql/client';
    const client = createClient();
    export async function run(image: Blob) {
      const { heads } = (await client.classify(image, { model: 'cats', outputs: true })).result;
      for (const head of heads ?? []) {
        switch (head.name) {
          case 'color': { const color: 'black' | 'white' | undefined = head.labels[0]?.name; return color; }
          case 'coat-length': { const length: 'short' | 'long' | undefined = head.labels[0]?.name; return length; }
          default: head satisfies never;
        }
      }
      const other: string | undefined = (await client.classify(image, { model: 'dogs' })).result.heads?.[0]?.labels[0]?.name;
      return other;
    }`;
  expect(compile(declarations, program)).toBe('');
  expect(compile(declarations, program.replace("'short' | 'long' | undefined", "'bald' | undefined"))).toContain(
    'bald',
  );
});
