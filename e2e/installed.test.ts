/** The tarballs in an empty folder outside the repository, as users install them. Real programs, the real model. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectDir } from '@inferql/testing/build';
import { writeTinyModel } from '@inferql/testing/data/tiny-model';
import { listProcesses } from '@inferql/testing/launcher/launcher';
import { type Installation, installPackages } from '@inferql/testing/packages/installed-packages';
import { afterAll, beforeAll, expect, test } from 'vitest';

const INSTALL_TIMEOUT_MS = 600_000;
let installed: Installation;

beforeAll(async () => {
  installed = await installPackages();
}, INSTALL_TIMEOUT_MS);

afterAll(() => installed?.remove());

test('inferql serve runs the whole system: ResNet50, the page, GraphiQL; SIGTERM ends all of it with exit code 0', async () => {
  const system = await installed.serve([]);
  const { code, out } = await installed.inferql(
    ['classify', join(installed.dir, 'node_modules/inferql/models/samples/chelsea.png'), '--json'],
    { INFERQL_URL: system.url },
  );
  expect(code).toBe(0);
  expect([281, 282, 285]).toContain(JSON.parse(out.split('\n')[0]!).labels[0].index);

  const types = await installed.inferql(['types', '--output', '-'], { INFERQL_URL: system.url });
  expect([types.code, types.out]).toEqual([0, expect.stringMatching(/"resnet50":\n {6}\| "tench/)]);

  const accept = { accept: 'text/html' };
  const page = await fetch(system.url, { headers: accept });
  expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')]);
  const graphiql = await fetch(`${system.url}/graphql`, { headers: accept });
  expect([graphiql.status, await graphiql.text()]).toEqual([200, expect.stringMatching(/graphiql/i)]);

  expect(listOurs().filter((command) => command.includes('worker/main'))).toHaveLength(1);
  expect(await system.stop()).toBe(0);
  await expect.poll(listOurs).toEqual([]);
});

test('inferql init writes a project that runs unchanged: system, types of its labels, front end', async () => {
  const { code, out } = await installed.inferql(['init', 'project']);
  expect([code, out]).toEqual([0, expect.stringContaining('npm start')]);
  const project = join(installed.dir, 'project');
  // So that the model is not pulled again.
  await mkdir(join(project, '.inferql'));
  await symlink(join(installed.dir, '.inferql/models'), join(project, '.inferql/models'));
  const env = { PATH: process.env.PATH!, HOME: installed.dir };
  const run = (args: string[], more: Record<string, string> = {}) =>
    promisify(execFile)(args[0]!, args.slice(1), { cwd: project, env: { ...env, ...more } });

  const system = await installed.serve(['./models'], {}, project);
  const { out: models } = await installed.inferql(['models', '--json'], { INFERQL_URL: system.url });
  expect(JSON.parse(models)).toMatchObject({ name: 'resnet50' });
  // npm finds the command of the folder above.
  await run(['npm', 'run', 'types'], { INFERQL_URL: system.url });
  expect(await system.stop()).toBe(0);

  const tsc = [process.execPath, join(projectDir, 'node_modules/typescript/bin/tsc'), '-p', project];
  await run(tsc);
  const wrong =
    "import { createClient } from '@inferql/client';\nconst { result } = await createClient().classify(new Blob(), { model: 'resnet50' });\nexport const isTench = result.labels[0]?.name === 'NAME';\n";
  await writeFile(join(project, 'src/check.ts'), wrong.replace('NAME', 'tench'));
  await run(tsc);
  await writeFile(join(project, 'src/check.ts'), wrong.replace('NAME', 'trench'));
  await expect(run(tsc)).rejects.toMatchObject({ stdout: expect.stringContaining('"trench"') });

  // Otherwise vite would be installed from the registry.
  await run([process.execPath, join(projectDir, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'error']);
  expect(existsSync(join(project, 'dist/index.html'))).toBe(true);
});

test('inferql models add makes a folder of models, which inferql serve then serves without being told', async () => {
  const models = join(installed.dir, 'models');
  // The Redis of the other tests still offers the model that they served a moment ago.
  const state = { INFERQL_STATE_DIR: join(installed.dir, 'state') };
  try {
    const source = join(installed.dir, 'exported');
    await writeTinyModel(installed.dir, 'exported', { labels: ['red', 'green', 'blue'] });
    await rm(join(source, 'model.json5'));
    const added = await installed.inferql(
      ['models', 'add', 'exported', '--name', 'tiny', '--normalization', 'unit'],
      state,
    );
    expect([added.code, added.out + added.err]).toEqual([0, expect.stringContaining('added tiny')]);
    expect((await installed.inferql(['models', 'list'], state)).out).toMatch(/^tiny /);
    const refused = await installed.inferql(['models', 'add', 'no-such-file.onnx']);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('no-such-file.onnx')]);

    const system = await installed.serve([], state);
    const served = await installed.inferql(['models', '--json'], { INFERQL_URL: system.url });
    expect(
      served.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).name),
    ).toEqual(['tiny']);
    expect(await system.stop()).toBe(0);
  } finally {
    await rm(models, { recursive: true, force: true });
  }
});

test('inferql doctor finds no problem on a machine that can run it', async () => {
  const { code, out } = await installed.inferql(['doctor', '--json'], { PORT: '0' });
  const findings = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(findings.filter(({ verdict }) => verdict === 'problem')).toEqual([]);
  expect([code, findings.length]).toEqual([0, 9]);
});

test('a folder that does not exist, and a wrong setting, are reported without a stack', async () => {
  const missing = await installed.inferql(['serve', './no-such-folder'], { PORT: '0' });
  expect(missing.code).toBe(1);
  expect(missing.err).toMatch(/no folder .*no-such-folder/);
  const wrong = await installed.inferql(['serve'], { PORT: 'http' });
  expect(wrong.code).toBe(1);
  expect(wrong.err).toContain("PORT is 'http': expected a whole number");
  expect(missing.err + wrong.err).not.toMatch(/\n\s+at /);
});

function listOurs(): string[] {
  return [...listProcesses(({ command }) => command.includes(`${installed.dir}/`)).values()];
}
