/** An npm registry on loopback that has the packed packages, as if they were published. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Registry {
  /** For npm's setting `registry`. */
  url: string;
  /** The registry that npm is configured for here. All other packages come from there. */
  upstream: string;
  stop(): Promise<void>;
}

/** @param tarballs paths of packed packages */
export async function startRegistry(tarballs: readonly string[]): Promise<Registry> {
  const upstream = (await run('npm', ['config', 'get', 'registry'])).stdout.trim();
  const packages = await Promise.all(tarballs.map(readPackage));
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url!.slice(1));
    const file = packages.find((packed) => path === `tarballs/${packed.file}`);
    const named = packages.find(({ manifest }) => path === manifest.name);
    if (file) {
      response.end(file.bytes);
    } else if (named) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(describePackage(named, url)));
    } else {
      response.writeHead(302, { location: new URL(request.url!.slice(1), upstream).href }).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    upstream,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

interface Packed {
  file: string;
  bytes: Buffer;
  manifest: { name: string; version: string };
}

async function readPackage(path: string): Promise<Packed> {
  const { stdout } = await run('tar', ['-xzOf', path, 'package/package.json']);
  return { file: basename(path), bytes: await readFile(path), manifest: JSON.parse(stdout) };
}

/** What a registry answers about a package of one version. */
function describePackage({ file, bytes, manifest }: Packed, url: string): object {
  const { name, version } = manifest;
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  const dist = { tarball: `${url}tarballs/${file}`, integrity };
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } };
}
