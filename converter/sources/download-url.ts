import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { parseModelJson, storedBytes } from '../tfjs/manifest.ts';

const MAX_JSON_BYTES = 64 * 1024 * 1024;
/** A Teachable Machine model's labels are next to it. */
const METADATA_FILE = 'metadata.json';

/**
 * Downloads a tfjs model: its model.json, the weights that the manifest names, and its metadata if there is any.
 * @throws ModelError SOURCE_UNREACHABLE, MANIFEST_INVALID, CANCELED
 */
export async function downloadModel(
  url: URL,
  folder: string,
  { print, signal }: { print: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  const text = await get(url, MAX_JSON_BYTES, signal);
  const modelJson = parseModelJson(text.toString('utf8'), url.pathname);
  await writeFile(path.join(folder, 'model.json'), text);
  for (const group of modelJson.weightsManifest) {
    let rest = group.weights.reduce((sum, weight) => sum + storedBytes(weight), 0);
    for (const shard of group.paths) {
      print(`downloading ${shard}`);
      const bytes = await get(besides(url, shard), rest, signal);
      rest -= bytes.length;
      const target = path.join(folder, shard);
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(target, bytes);
    }
  }
  const metadata = await get(besides(url, METADATA_FILE), MAX_JSON_BYTES, signal).catch(() => undefined);
  if (metadata && isJson(metadata)) await writeFile(path.join(folder, METADATA_FILE), metadata);
}

/** Servers of web applications answer every path that they do not know with their page. */
function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

/** A file next to another; model hubs choose the format by the query, so it is kept. */
function besides(url: URL, file: string): URL {
  const other = new URL(file, url);
  other.search = url.search;
  return other;
}

async function get(url: URL, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const fail = (reason: string, cause?: unknown) =>
    new ModelError(signal.aborted ? 'CANCELED' : 'SOURCE_UNREACHABLE', `${url.href}: ${reason}`, { cause });
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    throw fail('cannot be reached', cause);
  }
  if (!response.ok || !response.body) throw fail(`answered ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body) {
      size += chunk.length;
      if (size > maxBytes)
        throw new ModelError('SOURCE_INVALID', `${url.href}: is longer than the ${maxBytes} bytes expected`);
      chunks.push(chunk);
    }
  } catch (cause) {
    throw cause instanceof ModelError ? cause : fail('broke off', cause);
  }
  return Buffer.concat(chunks);
}
