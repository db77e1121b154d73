import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { EXIT } from './exit-codes.ts';
import type * as Packages from './installed-packages.ts';
import { runInferql } from './main.ts';

// Settings that are in this clone would remain in the process.
vi.mock('./env-files.ts', () => ({ addEnvFiles: () => {} }));
// As in the published package.
vi.mock('./installed-packages.ts', async (load) => ({
  ...(await load<typeof Packages>()),
  modelsDir: join(import.meta.dirname, '../models'),
}));

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
let dir: string;
let printed: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'inferql-main-'));
  printed = '';
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      printed += text;
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

/** Runs the command in this process, and interrupts it after it began. @returns its exit code */
async function runInterrupted(signal: (typeof SIGNALS)[number], args: string[]) {
  const before = new Set<unknown>([
    ...SIGNALS.flatMap((name) => process.listeners(name)),
    ...process.stdout.listeners('error'),
  ]);
  const running = runInferql(['node', 'inferql', ...args], '0.0.0');
  const [onSignal] = process.listeners(signal).filter((listener) => !before.has(listener));
  (onSignal as () => void)();
  try {
    await running;
    return process.exitCode;
  } finally {
    process.exitCode = undefined;
    for (const name of SIGNALS) {
      for (const listener of process.listeners(name)) if (!before.has(listener)) process.off(name, listener);
    }
    for (const listener of process.stdout.listeners('error')) {
      if (!before.has(listener)) process.stdout.off('error', listener as () => void);
    }
  }
}

test.each(SIGNALS)('%s ends a command with 130, also one that has nothing to end early', async (signal) => {
  expect(await runInterrupted(signal, ['init', dir])).toBe(EXIT.interrupted);
  expect(printed).toMatch(/Interrupted\.\n$/);
});

test('an interrupted `doctor` runs no further checks and reports none', async () => {
  expect(await runInterrupted('SIGINT', ['doctor'])).toBe(EXIT.interrupted);
  expect(printed).toBe('Interrupted.\n');
});

describe('help', () => {
  /** @returns what it prints */
  async function run(...args: string[]): Promise<string> {
    printed = '';
    try {
      await runInferql(['node', 'inferql', ...args], '0.0.0');
    } finally {
      process.exitCode = undefined;
    }
    return printed;
  }

  test.each([[['models']], [['keys', 'create']], [['dead', 'retry']], [['tenants', 'set']], [[]]])(
    'of the command %j is that of --help',
    async (names) => {
      const help = await run('help', ...names);
      expect(help).toContain(`Usage: ${['inferql', ...names].join(' ')}`);
      expect(help).toBe(await run(...names, '--help'));
    },
  );

  test('of a command of the converter is printed by the converter', async () => {
    const runProgram = vi.spyOn(await import('@inferql/launcher/run-program'), 'runProgram').mockResolvedValue(0);
    await run('help', 'models', 'add');
    expect(runProgram.mock.calls[0]![0].slice(-2)).toEqual(['add', '--help']);
  });

  test('of an unknown command says so', async () => {
    expect(await run('help', 'models', 'nothing')).toBe("error: unknown command 'models nothing'\n");
    expect(await run('help', 'nothing')).toBe("error: unknown command 'nothing'\n");
  });
});
