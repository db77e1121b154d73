import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { writeTinyModel } from '@inferql/testing/data/tiny-model';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { createProcessConverter } from '../conversion-process/convert-in-process.ts';
import { type PreparedModel, prepareModel } from '../prepared-model.ts';

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
