/** A file `.env`, whose settings the environment overrides. */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/**
 * Reads a file of settings. No file counts as no settings, and so does a folder of that name, which is a virtual environment of Python.
 * @throws Error if there is a file that cannot be read
 */
export function readEnvFile(path: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EISDIR') return {};
    throw new Error(`Cannot read the settings: ${message}`, { cause: error });
  }
  // Some editors begin a file with a byte order mark, which would become a part of the first name.
  return parseEnv(text.replace(/^\uFEFF/, '')) as Record<string, string>;
}
