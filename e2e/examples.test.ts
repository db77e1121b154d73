/** Every example of examples/, run as its user would. */
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import { launchBrowser, openPage } from '@inferql/testing/page/browser';
import { withKeyStore } from '@inferql/testing/system/key-store';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import type { Browser } from 'playwright-core';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';

const run = promisify(execFile);
const projectDir = join(import.meta.dirname, '..');
const examplesDir = join(projectDir, 'examples');
const PICTURE = 1_234;
const LABEL = `class ${expectedClass(PICTURE)}`;
const HTTPX = 'httpx==0.28.1';

let dir: string;
let photo: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-examples-'));
  photo = join(dir, 'photo.png');
  await writeFile(photo, makePicture(PICTURE));
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

async function requireProgram(program: string, context: TestContext): Promise<void> {
  await run(program, ['--version']).catch(() => context.skip(`${program} is missing on this machine`));
}

/** A key for the system, as an operator creates it. */
async function makeKey({ redis }: TestSystem): Promise<string> {
  return withKeyStore(redis.url, async (store) => {
    return (await store.create({ tenant: 'examples', scopes: ['infer', 'read'] })).text;
  });
}

/** A Python with httpx, created once and kept in this machine's state folder. */
async function preparePython(context: TestContext): Promise<string> {
  const home = join(projectDir, '.inferql', 'python', HTTPX);
  const python = join(home, 'bin/python');
  const isThere = await access(python).then(
    () => true,
    () => false,
  );
  if (isThere) return python;
  await requireProgram('python3', context);
  await mkdir(join(home, '..'), { recursive: true });
  const fresh = `${home}.${process.pid}`;
  try {
    await run('python3', ['-m', 'venv', fresh]);
    await run(join(fresh, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', HTTPX]);
    await rename(fresh, home);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    context.skip(`no Python with httpx could be made here: ${(error as Error).message.slice(0, 300)}`);
  }
  return python;
}

describe.each(['off', 'keys'])('INFERQL_AUTH=%s', (auth) => {
  let system: TestSystem;
  /** As in the user's shell. */
  let settings: Record<string, string>;

  beforeAll(async () => {
    system = await startSystem({ env: { INFERQL_AUTH: auth } });
    settings = { INFERQL_URL: system.url, ...(auth === 'keys' ? { INFERQL_KEY: await makeKey(system) } : {}) };
  });

  afterAll(async () => {
    await system?.end();
  });

  const env = () => ({ PATH: process.env.PATH!, HOME: process.env.HOME ?? dir, ...settings });

  test('curl: the mutation answers with the result', async (context) => {
    await requireProgram('curl', context);
    const { stdout } = await run(join(examplesDir, 'curl/classify.sh'), [photo], { env: env() });
    expect(JSON.parse(stdout).data.classifyImage).toMatchObject({
      __typename: 'Prediction',
      status: 'SUCCEEDED',
      result: { labels: [{ name: LABEL }, {}, {}, {}, {}] },
    });
  });

  test('curl: the subscription ends with the result, and a refusal is shown', async (context) => {
    await requireProgram('curl', context);
    const { stdout } = await run(join(examplesDir, 'curl/watch.sh'), [photo], { env: env() });
    const events = stdout.split('\n').filter((line) => line.startsWith('data: {'));
    const states = events.map((line) => JSON.parse(line.slice(6)).data.prediction);
    expect(states.at(-1)).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ name: LABEL }, {}, {}] } });

    const text = join(dir, 'photo.txt');
    await writeFile(text, 'no image');
    const refused = await run(join(examplesDir, 'curl/watch.sh'), [text], { env: env() }).catch((error) => error);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('UNSUPPORTED_FORMAT');
  });

  test('Python: upload, live states, labels', async (context) => {
    const python = await preparePython(context);
    const { stdout } = await run(python, [join(examplesDir, 'python/classify.py'), photo], { env: env() });
    expect(stdout).toMatch(/^((QUEUED|PROCESSING)\n)*SUCCEEDED\n/);
    expect(stdout).toContain(`90.0%  ${LABEL}`);
  });

  describe('front ends', () => {
    let vite: ViteDevServer;
    let browser: Browser;
    let address: string;

    beforeAll(async () => {
      // Read by the file of settings.
      Object.assign(process.env, settings);
      vite = await createServer({
        root: examplesDir,
        configFile: join(examplesDir, 'vite.config.ts'),
        cacheDir: join(dir, 'vite'),
        logLevel: 'error',
        server: { port: 0, host: '127.0.0.1' },
      });
      await vite.listen();
      address = vite.resolvedUrls!.local[0]!;
      browser = await launchBrowser();
    });

    afterAll(async () => {
      await browser?.close();
      await vite?.close();
      for (const name of Object.keys(settings)) delete process.env[name];
    });

    test.each(['urql', 'apollo'])('%s: upload, live states, labels; a refusal is shown', async (name) => {
      const { page, complaints, close } = await openPage(browser, `${address}${name}/`);
      await page.getByLabel('Photo').setInputFiles(photo);
      await page.getByRole('status').getByText('SUCCEEDED').waitFor();
      await expect.poll(() => page.getByRole('listitem').count()).toBe(3);
      expect(await page.getByRole('listitem').first().textContent()).toBe(`${LABEL} 90.0%`);

      await page
        .getByLabel('Photo')
        .setInputFiles({ name: 'photo.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no image') });
      await page.getByRole('alert').waitFor();
      expect(await page.getByRole('alert').textContent()).toContain('does not read text');
      expect(complaints).toEqual([]);
      await close();
    });
  });

  const onlyWithKeys = auth === 'keys' ? test : undefined;
  onlyWithKeys?.('without the key, the answer says that one is needed', async (context) => {
    await requireProgram('curl', context);
    const { INFERQL_KEY: _, ...without } = env() as Record<string, string>;
    const refused = await run(join(examplesDir, 'curl/classify.sh'), [photo], { env: without }).catch((error) => error);
    expect(refused.code).not.toBe(0);
    expect(JSON.parse(refused.stdout).errors[0].extensions.code).toBe('UNAUTHENTICATED');
  });
});
