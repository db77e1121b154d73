/** The examples in the docstrings of the entry points, and those of the pages, exist and compile. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectDir } from '@inferql/testing/build';
import { afterAll, expect, test } from 'vitest';

interface EntryPoint {
  /** The file with the declaration. */
  file: string;
  /** How the declaration begins. */
  declaration: string;
  /** What the example uses and does not define. */
  given: string;
}

const CLIENT = "import { createClient } from '@inferql/client'; declare const file: Blob;";
const SERVED = "import type { ServedModel } from '@inferql/queue/contract'; declare const model: ServedModel;";
const PREFIX = "import { DEFAULT_PREFIX } from '@inferql/queue/redis/keys';";
const ENTRY_POINTS: Record<string, EntryPoint> = {
  createClient: {
    file: 'client/client.ts',
    declaration: 'export function createClient(',
    given: `${CLIENT} declare const session: { token: string };`,
  },
  'Client.classify': {
    file: 'client/client-types.ts',
    declaration: '  classify<',
    given: `${CLIENT} declare const bar: { value: number }; const client = createClient();`,
  },
  'Client.watch': {
    file: 'client/client-types.ts',
    declaration: '  watch(',
    given: `${CLIENT} declare const id: string; const client = createClient();`,
  },
  createInferQL: {
    file: 'server/embed/create-inferql.ts',
    declaration: 'export function createInferQL(',
    given: `import { createInferQL } from '@inferql/server'; import type { IncomingMessage, ServerResponse } from 'node:http';
      declare const app: { use(path: string, handle: (request: IncomingMessage, response: ServerResponse) => void): void };`,
  },
  startWorker: {
    file: 'worker/embed/start-worker.ts',
    declaration: 'export async function startWorker(',
    given: "import { startWorker } from '@inferql/worker';",
  },
  defineModel: {
    file: 'worker/engines/custom/types.ts',
    declaration: 'export function defineModel(',
    given: `import { defineModel } from '@inferql/worker';
      declare function measureBrightness(images: Uint8Array, count: number, input: object): number[][];`,
  },
  Producer: {
    file: 'queue/predictions/producer.ts',
    declaration: 'export class Producer ',
    given: `${SERVED} ${PREFIX} import { ANONYMOUS_CALLER, newPredictionId } from '@inferql/queue/contract';
      import { Producer } from '@inferql/queue/predictions/producer'; import { connectRedis } from '@inferql/queue/redis/connection';
      declare const pixels: Uint8Array;`,
  },
  Consumer: {
    file: 'queue/jobs/consumer.ts',
    declaration: 'export class Consumer ',
    given: `${SERVED} ${PREFIX} import { Consumer } from '@inferql/queue/jobs/consumer';
      import type { RedisConnection } from '@inferql/queue/redis/connection';
      declare const redis: RedisConnection, blockingRedis: RedisConnection, worker: string;`,
  },
  prepareModel: {
    file: 'converter/prepared-model.ts',
    declaration: 'export async function prepareModel(',
    given: "import { prepareModel } from '@inferql/converter/prepared-model';",
  },
  startModelLoop: {
    file: 'worker/serving/run-loop.ts',
    declaration: 'export async function startModelLoop(',
    given: `import { type ModelLoopOptions, startModelLoop } from 'WORKER/serving/run-loop.ts';
      declare const given: ModelLoopOptions; const { consumer, engine, model, labels, scheduler, worker, log } = given;`,
  },
  LoadModel: {
    file: 'worker/engines/engine.ts',
    declaration: 'export type LoadModel =',
    given: "import type { LoadModel } from 'WORKER/engines/engine.ts';",
  },
};

mkdirSync(join(projectDir, '.inferql'), { recursive: true });
const dir = mkdtempSync(join(projectDir, '.inferql/docstring-examples-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** The code after `@example` in the comment right before a declaration, or undefined. */
function readExample({ file, declaration }: EntryPoint): string | undefined {
  const [before, ...rest] = readFileSync(join(projectDir, file), 'utf8').split(`\n${declaration}`);
  expect([file, declaration, rest.length]).toEqual([file, declaration, 1]);
  const comment = before!.slice(before!.lastIndexOf('/**'));
  const [, example] = /@example\n([\s\S]*?)\n\s*\*\/$/.exec(comment) ?? [];
  return example?.replace(/^\s*\* ?/gm, '');
}

/** What each code block of a page uses and does not define. */
const PAGES: Record<string, string[]> = {
  'client/README.md': [
    'declare const file: Blob;',
    "import { createClient } from '@inferql/client'; declare const session: { token: string }; declare const status: Element;",
  ],
  'docs/embed.md': [
    'declare function findUser(credential: string | undefined): Promise<{ organization: string } | undefined>;',
    '',
    "import { createInferQL } from '@inferql/server';",
  ],
  'docs/install.md': [
    "import { createClient } from '@inferql/client'; declare const image: Blob; const client = createClient();",
  ],
};

test('the examples of entry points and pages compile, as strictly as TypeScript can', async () => {
  for (const [name, entry] of Object.entries(ENTRY_POINTS)) {
    const example = readExample(entry);
    expect([name, example]).toEqual([name, expect.any(String)]);
    const given = entry.given.replaceAll('WORKER', '../../worker');
    writeFileSync(join(dir, `${name}.ts`), `${given}\n${example}\nexport {};\n`);
  }
  for (const [page, given] of Object.entries(PAGES)) {
    const text = readFileSync(join(projectDir, page), 'utf8');
    const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, block]) => block!);
    expect([page, blocks.length]).toEqual([page, given.length]);
    for (const [index, block] of blocks.entries()) {
      const name = `${page.replaceAll('/', '-')}-${index}`;
      writeFileSync(join(dir, `${name}.ts`), `${given[index]}\n${block}\nexport {};\n`);
    }
  }
  // Some projects of readers have all other checks, such as exactOptionalPropertyTypes.
  const compilerOptions = { noUncheckedIndexedAccess: false, rootDir: '../..' };
  writeFileSync(
    join(dir, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'], compilerOptions }),
  );
  const tsc = join(projectDir, 'node_modules/typescript/bin/tsc');
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', dir], { cwd: projectDir }).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout).toBe('');
});
