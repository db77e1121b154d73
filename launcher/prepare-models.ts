/** The models: pulled, verified and converted by the converter's command, which is not even started when nothing changed. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { digestFiles, listFiles, readStamp, removeStamp, writeStamp } from './build-stamps.ts';
import { runTool, type ToolFolders } from './run-tool.ts';
import { SetupError } from './terminal.ts';

const SMALL_FILE_BYTES = 65_536;
/** The converter's exit codes after it has reported what it refused. */
const NONE_READY = 1;
const SOME_READY = 4;

/** Options for preparing models. */
export interface ModelFolders extends ToolFolders {
  readonly stateDir: string;
  readonly modelsDir: string;
  /** The folder of the converter's compiled code. */
  readonly converterDir: string;
  /** Its program: `main.js` or a bundle of it. */
  readonly converter: string;
}

/**
 * Prepares all models of the repository. Models that are refused are reported by the converter; the others are ready.
 * @throws SetupError if no model is ready
 */
export async function prepareModels(folders: ModelFolders): Promise<void> {
  const { stateDir, modelsDir, converter } = folders;
  const installedDir = join(stateDir, 'models');
  const stampPath = join(installedDir, '.prepared-from');
  const digest = digestModels(folders);
  if (readStamp(stampPath) === digest) return;
  removeStamp(stampPath);
  const args = ['prepare', '--all', '--models-dir', modelsDir, '--state-dir', stateDir];
  // Refused models are retried at the next start.
  const options = { passOutput: true, acceptCodes: [NONE_READY, SOME_READY] };
  const code = await runTool(folders, 'models', process.execPath, [converter, ...args], options);
  if (code === NONE_READY) throw new SetupError('No model is ready; the reason is above.');
  if (code === 0 && existsSync(installedDir)) writeStamp(stampPath, digest);
}

/** Specs by content; weights that a user dropped in by size and time, because reading them all costs more than a start may take. */
function digestModels({ dir, modelsDir, converterDir }: ModelFolders): string {
  const files = listFiles(dir, [modelsDir]).flatMap((path) => {
    const stat = statSync(join(dir, path), { throwIfNoEntry: false });
    return stat ? [{ path, stat }] : [];
  });
  const small = files.filter(({ stat }) => stat.size <= SMALL_FILE_BYTES).map(({ path }) => path);
  const large = files.filter(({ stat }) => stat.size > SMALL_FILE_BYTES);
  const code = listFiles(dir, [converterDir], (path) => path.endsWith('.js'));
  return digestFiles(
    dir,
    [...small, ...code],
    ...large.map(({ path, stat }) => `${path} ${stat.size} ${stat.mtimeMs}`),
  );
}
