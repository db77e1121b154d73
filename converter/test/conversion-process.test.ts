import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { processExists } from '@inferql/queue/process-exists';
import { buildSystem } from '@inferql/testing/build';
import { writeTinyModel } from '@inferql/testing/data/tiny-model';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { until } from '@inferql/testing/until';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { createProcessConverter } from '../conversion-process/convert-in-process.ts';
import { type PreparedModel, type PreparedStamp, prepareModel } from '../prepared-model.ts';

let convert: ReturnType<typeof createProcessConverter>;
beforeAll(async () => {
  convert = createProcessConverter(join(await buildSystem(), 'converter/conversion-process/conversion-main.js'));
});

async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'inferql-conversion-'));
  onTestFinished(() => removeFolder(folder));
  return folder;
}

async function writeModel(): Promise<{ modelDir: string; stateDir: string }> {
  const folder = await createFolder();
  await mkdir(join(folder, 'models'));
  await writeTinyModel(join(folder, 'models'), 'tiny', { favorite: 1 });
  return { modelDir: join(folder, 'models/tiny'), stateDir: join(folder, 'state') };
}

async function readFiles({ onnxPath }: PreparedModel): Promise<Record<string, string>> {
  const folder = join(onnxPath!, '..');
  const names = (await readdir(folder)).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'base64')])),
  );
}

test('a process writes the same files as a conversion in this one', async () => {
  const { modelDir, stateDir } = await writeModel();
  const here = await prepareModel({ modelDir, stateDir: join(stateDir, 'here') });
  const there = await prepareModel({ modelDir, stateDir: join(stateDir, 'there'), convert });
  expect(there.version).toBe(here.version);
  expect(await readFiles(there)).toEqual(await readFiles(here));
});

test('a model that cannot be converted has the same error', async () => {
  const { modelDir, stateDir } = await writeModel();
  const file = join(modelDir, 'model.json');
  const model = JSON.parse(await readFile(file, 'utf8'));
  const [{ weights }] = model.weightsManifest;
  weights[0].shape = [...weights[0].shape, 2];
  await writeFile(file, JSON.stringify(model));
  const here = await prepareModel({ modelDir, stateDir }).catch((error) => error);
  expect(here).toMatchObject({ name: 'ModelError', code: expect.stringMatching(/_INVALID$/) });
  const { code, message } = here;
  await expect(prepareModel({ modelDir, stateDir, convert })).rejects.toMatchObject({
    name: 'ModelError',
    code,
    message,
  });
});

test('a canceled conversion ends its process and leaves nothing', async () => {
  const { modelDir, stateDir } = await writeModel();
  const cancel = new AbortController();
  const canceled = prepareModel({
    modelDir,
    stateDir,
    signal: cancel.signal,
    convert(conversion, signal) {
      const converted = convert(conversion, signal);
      cancel.abort();
      return converted;
    },
  });
  await expect(canceled).rejects.toMatchObject({ code: 'CANCELED' });
  expect((await readdir(join(stateDir, 'models/tiny'))).filter((name) => !name.startsWith('source-'))).toEqual([]);
});

test('a process that is killed fails the conversion with what may have happened and its last line', async () => {
  const { modelDir, stateDir } = await writeModel();
  const program = join(await createFolder(), 'conversion.mjs');
  await writeFile(program, "process.stderr.write('the last line\\n', () => process.kill(process.pid, 'SIGKILL'));");
  await expect(prepareModel({ modelDir, stateDir, convert: createProcessConverter(program) })).rejects.toMatchObject({
    code: 'RUN_CRASHED',
    message: expect.stringMatching(/SIGKILL, as when memory is full.*: the last line$/),
  });
});

/** Converts with another program, which prints nothing of the conversion. */
async function convertWith(code: string): Promise<PreparedStamp> {
  const program = join(await createFolder(), 'conversion.mjs');
  await writeFile(program, code);
  const { modelDir, stateDir } = await writeModel();
  let stamp: PreparedStamp | undefined;
  await prepareModel({
    modelDir,
    stateDir,
    async convert(conversion, signal) {
      stamp = await createProcessConverter(program)(conversion, signal);
      return convert(conversion, signal);
    },
  });
  return stamp!;
}

test("messages of Node's own, as under `node --watch`, are not taken for the result", async () => {
  const stamp = { labels: [], classCount: 0, cam: { unavailable: 'no model' } };
  const answer = JSON.stringify({ type: 'converted', stamp });
  const code = `process.send({ 'watch:import': [] });
    process.once('message', () => process.send(${answer}, () => process.disconnect()));`;
  expect(await convertWith(code)).toEqual(stamp);
});

test('the error that ended the process is named', async () => {
  await expect(convertWith("throw new RangeError('too long');")).rejects.toMatchObject({
    code: 'RUN_CRASHED',
    message: expect.stringMatching(/exit code 1\): RangeError: too long$/),
  });
});

test('a conversion ends with the process that waits for it, although it is busy', async () => {
  const folder = await createFolder();
  const build = pathToFileURL(join(await buildSystem(), 'converter/conversion-process/'));
  const pidFile = join(folder, 'pid');
  await writeFile(
    join(folder, 'busy.mjs'),
    `import { renameSync, writeFileSync } from 'node:fs';
     await import(${JSON.stringify(new URL('conversion-main.js', build).href)});
     process.once('message', () => {
       writeFileSync(${JSON.stringify(`${pidFile}.new`)}, String(process.pid));
       renameSync(${JSON.stringify(`${pidFile}.new`)}, ${JSON.stringify(pidFile)});
       for (;;);
     });`,
  );
  await writeFile(
    join(folder, 'host.mjs'),
    `import { createProcessConverter } from ${JSON.stringify(new URL('convert-in-process.js', build).href)};
     await createProcessConverter(${JSON.stringify(join(folder, 'busy.mjs'))})({});`,
  );
  const host = spawn(process.execPath, [join(folder, 'host.mjs')], { stdio: 'ignore' });
  const pid = Number(
    await until(
      () => readFile(pidFile, 'utf8').catch(() => ''),
      (text) => text !== '',
    ),
  );
  host.kill('SIGKILL');
  await until(
    () => processExists(pid),
    (exists) => !exists,
  );
});
