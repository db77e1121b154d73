import type { Dirent, Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { CommandFailure, EXIT } from './exit.ts';

/** Far more than any server accepts, so that an endless input does not fill the memory. */
const MAX_INPUT_BYTES = 256_000_000;
const IMAGE_FILE = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i;

/** An image named on the command line, directly or by its folder. */
export interface ImageSource {
  /** The path as given, or the given folder and the path from there; `-` for standard input. */
  name: string;
  /** The absolute path of the file, or the bytes of standard input. */
  content: string | Blob;
  /** Absent if there is no such file, and for standard input. */
  size?: number;
  mtimeMs?: number;
}

/**
 * The images that arguments name, each once: files, all files in folders that have the names of image files, and `-` for
 * standard input. Unreadable files are included, so that they are reported with the others.
 * @throws CommandFailure if there are none; the signal's reason
 */
export async function findImages(
  args: string[],
  input: NodeJS.ReadStream,
  signal: AbortSignal,
): Promise<ImageSource[]> {
  const found = new Map<string, ImageSource>();
  for (const name of args) {
    if (name === '-') {
      if (input.isTTY) throw new CommandFailure(EXIT.usage, "'-' reads an image from the standard input: pipe one in.");
      if (!found.has('-')) found.set('-', { name, content: await readInput(input, signal) });
      continue;
    }
    const about = await stat(name).catch(() => undefined);
    if (about?.isDirectory()) for await (const image of walkFolder(name)) found.set(resolve(image.name), image);
    else found.set(resolve(name), describeFile(name, about));
  }
  if (found.size === 0) throw new CommandFailure(EXIT.usage, 'There is no image in what was named.');
  return [...found.values()];
}

async function readInput(input: NodeJS.ReadStream, signal: AbortSignal): Promise<Blob> {
  const chunks: Buffer<ArrayBuffer>[] = [];
  let size = 0;
  try {
    for await (const chunk of addAbortSignal(signal, input)) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_INPUT_BYTES) throw new CommandFailure(EXIT.usage, 'The standard input is too large for an image.');
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
  return new Blob(chunks);
}

function describeFile(name: string, about: Stats | undefined): ImageSource {
  return { name, content: resolve(name), ...(about ? { size: about.size, mtimeMs: about.mtimeMs } : {}) };
}

/**
 * Sorted by name. Skips hidden files and folders, and does not follow links to folders, which could form a cycle. A folder that
 * cannot be read is listed itself.
 */
async function* walkFolder(folder: string): AsyncGenerator<ImageSource> {
  const entries: Dirent[] | undefined = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (!entries) {
    yield describeFile(folder, undefined);
    return;
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walkFolder(path);
    else if (IMAGE_FILE.test(entry.name)) {
      const about = await stat(path).catch(() => undefined);
      if (!about || about.isFile()) yield describeFile(path, about);
    }
  }
}
