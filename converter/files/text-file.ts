import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** Of labels, specs and other texts of a model: enough for a million class names. */
export const MAX_TEXT_BYTES = 16 * 1024 * 1024;

/** Reads a text of a model in UTF-8. @throws as readTextBytes does */
export async function readTextFile(file: string): Promise<string> {
  return (await readTextBytes(file)).toString('utf8');
}

/**
 * Reads a text of a model in whatever encoding. Links are followed: Hugging Face's cache and Kubernetes' volumes consist of them.
 * @throws the system's error; an Error that says why for what is not a file, which might be read forever, and for one beyond the bound
 */
export async function readTextBytes(file: string): Promise<Buffer> {
  // Opening a pipe would wait for its writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new Error('it is not a file');
    if (found.size > MAX_TEXT_BYTES) throw new Error(`it has ${found.size} bytes, more than ${MAX_TEXT_BYTES}`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
