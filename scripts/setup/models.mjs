// The models: pulled, verified and converted by the project's own command, which is not even started when nothing changed.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { distDir, modelsDir, projectDir, stateDir } from './places.mjs';
import { digestFiles, listFiles, readStamp, removeStamp, writeStamp } from './stamps.mjs';
import { runTool } from './tools.mjs';

const SMALL_FILE_BYTES = 65_536;

export async function prepareModels() {
  const installedDir = join(stateDir, 'models');
  const stampPath = join(installedDir, '.prepared-from');
  const digest = digestModels();
  if (readStamp(stampPath) === digest) return;
  removeStamp(stampPath);
  const command = join(distDir, 'converter/main.js');
  const args = [command, 'prepare', '--all', '--models-dir', modelsDir, '--state-dir', stateDir];
  // 2 is 'some were refused, and said so; the others are ready': they are tried again at the next start.
  const code = await runTool('models', process.execPath, args, { passOutput: true, acceptCodes: [2] });
  if (code === 0 && existsSync(installedDir)) writeStamp(stampPath, digest);
}

/** Specs by content; weights that a user dropped in by size and time, because reading them all costs more than a start may take. */
function digestModels() {
  const files = listFiles([modelsDir]);
  const sizes = files.map((path) => statSync(join(projectDir, path)));
  const small = files.filter((_, index) => sizes[index].size <= SMALL_FILE_BYTES);
  const large = files.map((path, index) => `${path} ${sizes[index].size} ${sizes[index].mtimeMs}`);
  const code = listFiles(['dist/converter'], (path) => path.endsWith('.js'));
  return digestFiles([...small, ...code], ...large.filter((_, index) => sizes[index].size > SMALL_FILE_BYTES));
}
