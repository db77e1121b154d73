/**
 * Runs before each test file of a suite whose files share processes: a process loads packages once, which takes longer than most of these
 * files. Each file gets fresh modules of the project, and may not leave a trace in the process.
 */
import { afterAll, expect, vi } from 'vitest';

function readProcess() {
  // libvips sets it when the first file loads it.
  const { VIPSHOME: _, ...env } = process.env;
  return { folder: process.cwd(), env };
}

const before = readProcess();

afterAll(() => {
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
  vi.useRealTimers();
  vi.resetModules();
  expect(readProcess(), 'a test file must leave the process as it was').toEqual(before);
});
