/** What the command says if a proxy refuses an image that is larger than its limit, with the documented configurations. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makePicture } from '@inferql/testing/data/test-images';
import { isProxyInstalled, readDocumentedProxy, startReverseProxy } from '@inferql/testing/network/reverse-proxy';
import { dir, jsonLines, run, system, writePicture } from '@inferql/testing/system/cli-fixture';
import { describe, expect, test } from 'vitest';

/** The documented limits, and smaller ones with which a test is fast. */
const LIMITS = {
  nginx: [['client_max_body_size 128m', 'client_max_body_size 1m']],
  caddy: [
    ['max_size 128MiB', 'max_size 1MiB'],
    ['> 134217728', '> 1048576'],
  ],
} as const;

const tried = (['nginx', 'caddy'] as const).filter((name) => isProxyInstalled(name));

describe.each(tried)('behind %s', (name) => {
  test('an image beyond its limit is explained, and does not affect the others', async () => {
    let configuration = readDocumentedProxy(name);
    for (const [documented, small] of LIMITS[name]) {
      expect(configuration).toContain(documented);
      configuration = configuration.replace(documented, small);
    }
    const proxy = await startReverseProxy(name, configuration, system.url, dir);
    try {
      await writeFile(join(dir, '1.png'), Buffer.concat([makePicture(77), Buffer.alloc(3_000_000, 1)]));
      const label = await writePicture('2.png');
      const { code, out, err } = await run(['classify', '1.png', '2.png', '--json'], {
        env: { INFERQL_URL: proxy.url },
      });
      const [large, other] = jsonLines(out);
      expect(code).toBe(1);
      expect(err).toMatch(/1 classified, 1 failed/);
      expect(other).toMatchObject({ file: '2.png', ok: true, labels: [{ name: label }, {}, {}, {}, {}] });
      const message = 'A proxy between this client and the server answered with HTTP 413: the request is too large.';
      expect(large).toMatchObject({ file: '1.png', ok: false, error: { code: 'REQUEST_TOO_LARGE', message } });
    } finally {
      await proxy.close();
    }
  });
});

test('proxies that are not installed are named', () => {
  for (const name of ['nginx', 'caddy'] as const) {
    if (!tried.includes(name)) console.warn(`${name} is not installed: the command was not tried behind it`);
    expect(readDocumentedProxy(name)).toContain(LIMITS[name][0][0]);
  }
});
