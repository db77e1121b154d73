import type { Dirent, Stats } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { detectFormat } from '@inferql/images/inspect/inspect';
import { CommandFailure, EXIT } from './exit-codes.ts';
import { safeText } from './terminal-text.ts';

/** Far more than any server accepts, so that an endless input does not fill the memory. */
const MAX_INPUT_BYTES = 256_000_000;
/** Files that people mean as images, even if the server cannot read them: its refusal says what is wrong. */
const IMAGE_NAME =
  /\.(jpe?g|jpe|jfif|pjpe?g|pjp|mpo|a?png|webp|gif|avifs?|hei[cf]s?|hif|tiff?|bmp|dib|ico|cur|dng|jxl|jp2|cr[23]|nef|arw|orf|raf|rw2)$/i;
/** As many as a format needs to be recognized. */
const FIRST_BYTES = 256;

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

interface FoundImages {
  images: ImageSource[];
  /** Files in folders that are not images by name or content, and links to folders. */
  skipped: string[];
}

/**
 * Finds the images in the arguments, each once: files, files in folders that are images by name or by their first bytes, and `-`
 * for standard input. Unreadable files are included, so that they are reported with the others.
 * @throws CommandFailure if there are none; the signal's reason
 */
export async function findImages(args: string[], input: NodeJS.ReadStream, signal: AbortSignal): Promise<FoundImages> {
  const found = new Map<string, ImageSource>();
  const skipped = new Set<string>();
  for (const name of args) {
    if (name === '-') {
      if (input.isTTY) throw new CommandFailure(EXIT.usage, "'-' reads an image from standard input. Pipe one in.");
      if (!found.has('-')) found.set('-', { name, content: await readInput(input, signal) });
      continue;
    }
    const about = await stat(name).catch(() => undefined);
    if (about?.isDirectory()) {
      for await (const file of walkFolder(name, (link) => skipped.add(link))) {
        signal.throwIfAborted();
        if (await isImage(file)) found.set(resolve(file.name), file);
        else skipped.add(file.name);
      }
    } else found.set(resolve(name), describeFile(name, about));
  }
  const others = [...skipped].filter((name) => !found.has(resolve(name)));
  if (found.size === 0) throw new CommandFailure(EXIT.usage, `No images in the given paths.${describeSkipped(others)}`);
  return { images: [...found.values()], skipped: others };
}

const NAMED_SKIPPED = 5;

/** A sentence after others, or nothing. */
export function describeSkipped(skipped: string[]): string {
  if (skipped.length === 0) return '';
  const names = skipped.slice(0, NAMED_SKIPPED).map(safeText).join(', ');
  const more = skipped.length > NAMED_SKIPPED ? ` and ${skipped.length - NAMED_SKIPPED} more` : '';
  const files = skipped.length === 1 ? '1 file that is not an image' : `${skipped.length} files that are not images`;
  return ` Skipped ${files}: ${names}${more}.`;
}

/** An unreadable file counts as an image, since nobody knows. */
async function isImage({ name, content, size }: ImageSource): Promise<boolean> {
  if (size === undefined || typeof content !== 'string' || IMAGE_NAME.test(name)) return true;
  const file = await open(content).catch(() => undefined);
  if (!file) return true;
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(FIRST_BYTES), 0, FIRST_BYTES, 0);
    return detectFormat(buffer.subarray(0, bytesRead)) !== undefined;
  } catch {
    return true;
  } finally {
    await file.close();
  }
}

async function readInput(input: NodeJS.ReadStream, signal: AbortSignal): Promise<Blob> {
  const chunks: Buffer<ArrayBuffer>[] = [];
  let size = 0;
  try {
    for await (const chunk of addAbortSignal(signal, input)) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_INPUT_BYTES) throw new CommandFailure(EXIT.usage, 'Standard input is too large for an image.');
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
 * All files, sorted by name. Skips hidden files and folders. A folder that cannot be read is listed itself.
 * @param onLink called with each link to a folder: such links are not followed, since they could form a cycle
 */
async function* walkFolder(folder: string, onLink: (name: string) => void): AsyncGenerator<ImageSource> {
  const entries: Dirent[] | undefined = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  if (!entries) {
    yield describeFile(folder, undefined);
    return;
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walkFolder(path, onLink);
    else {
      const about = await stat(path).catch(() => undefined);
      if (about?.isDirectory()) onLink(`${path} (a link to a folder)`);
      else if (about ? about.isFile() : IMAGE_NAME.test(entry.name)) yield describeFile(path, about);
    }
  }
}
