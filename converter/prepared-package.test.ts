import { createHash } from 'node:crypto';
import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import * as tar from 'tar';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SPEC, setUpFolders, writeModel, writeSpec as writeSpecInto } from './prepared-model.fixture.ts';
import { prepareModel } from './prepared-model.ts';

let root: string;
let modelDir: string;
let stateDir: string;

const folders = setUpFolders();
beforeEach(() => {
  ({ root, modelDir, stateDir } = folders);
});

const writeSpec = (spec: object) => writeSpecInto(modelDir, spec);

describe('a model in an npm package', () => {
  let registry: Server;
  let tarball: Buffer;
  let cutAfterBytes: number | undefined;

  beforeEach(async () => {
    const folder = path.join(root, 'pack/package');
    await writeModel(path.join(folder, 'tiny'));
    await writeFile(path.join(folder, 'package.json'), JSON.stringify({ name: 'tiny-model', version: '1.2.3' }));
    await tar.c({ gzip: true, file: path.join(root, 'tiny.tgz'), cwd: path.dirname(folder) }, ['package']);
    tarball = await readFile(path.join(root, 'tiny.tgz'));
    cutAfterBytes = undefined;
    registry = createServer((request, response) => {
      if (request.url?.endsWith('.tgz')) {
        response.writeHead(200, { 'content-length': tarball.length });
        if (cutAfterBytes === undefined) response.end(tarball);
        else response.write(tarball.subarray(0, cutAfterBytes), () => response.destroy());
        return;
      }
      const address = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/tiny-model/-/tiny-model-1.2.3.tgz`;
      const version = { name: 'tiny-model', version: '1.2.3', dist: { tarball: address } };
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ name: 'tiny-model', 'dist-tags': { latest: '1.2.3' }, versions: { '1.2.3': version } }),
      );
    });
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    // npx sets some of these for what it runs.
    vi.stubEnv('npm_config_registry', `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`);
    vi.stubEnv('npm_config_fetch_retries', '0');
    vi.stubEnv('npm_config_cache', path.join(root, 'npm-cache'));
    await writeSpec(npmSpec());
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await new Promise((resolve) => registry.close(resolve));
  });

  function npmSpec(integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`) {
    const source = { type: 'npm', package: 'tiny-model', version: '1.2.3', integrity };
    return { ...SPEC, source: { ...source, model: 'tiny/model.json', labels: 'tiny/labels.txt' } };
  }

  test('is pulled from the registry that npm is configured for', async () => {
    const progress: number[] = [];
    const model = await prepareModel({
      modelDir,
      stateDir,
      onProgress: ({ doneBytes }) => doneBytes !== undefined && progress.push(doneBytes),
    });
    expect(progress.at(-1)).toBe(tarball.length);
    expect(model.labels).toEqual(['cat', 'dog']);
    const unpacked = await readdir(path.join(path.dirname(model.tfjsPath ?? ''), '..'), { recursive: true });
    expect(unpacked.sort()).toEqual([
      '.digests.json',
      'tiny',
      'tiny/labels.txt',
      'tiny/model.json',
      'tiny/weights.bin',
    ]);
  });

  test('is not treated as complete if the pull was cut, and is complete the next time', async () => {
    cutAfterBytes = tarball.length >> 1;
    await expect(prepareModel({ modelDir, stateDir })).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });
    expect(await readdir(path.join(stateDir, 'models/tiny'))).toEqual([]);
    cutAfterBytes = undefined;
    expect(await prepareModel({ modelDir, stateDir })).toMatchObject({ classCount: 2 });
  });

  test('is refused if its bytes are not those of the spec', async () => {
    await writeSpec(npmSpec(`sha512-${createHash('sha512').update('other').digest('base64')}`));
    await expect(prepareModel({ modelDir, stateDir })).rejects.toMatchObject({ code: 'INTEGRITY_MISMATCH' });
    expect(await readdir(path.join(stateDir, 'models/tiny'))).toEqual([]);
  });

  test('stops pulling when it is aborted', async () => {
    const stop = new AbortController();
    const pulled = prepareModel({ modelDir, stateDir, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(pulled).rejects.toMatchObject({ code: 'CANCELED' });
    expect(await readdir(path.join(stateDir, 'models/tiny'))).toEqual([]);
  });

  test('is refused if a wanted file is a link', async () => {
    const folder = path.join(root, 'linked/package');
    await writeModel(path.join(folder, 'tiny'));
    await rm(path.join(folder, 'tiny/labels.txt'));
    await symlink('/etc/passwd', path.join(folder, 'tiny/labels.txt'));
    await tar.c({ gzip: true, file: path.join(root, 'tiny.tgz'), cwd: path.dirname(folder) }, ['package']);
    tarball = await readFile(path.join(root, 'tiny.tgz'));
    await writeSpec(npmSpec());
    await expect(prepareModel({ modelDir, stateDir })).rejects.toThrow(/labels\.txt is a SymbolicLink/);
  });
});
