/** The fastest engine, in case npm could not install it. */
import { findNpm, runTool, type ToolFolders } from './run-tool.ts';
import { print, SetupError, showStep } from './terminal.ts';

export interface MissingEngine {
  /** The package with its version, such as `onnxruntime-node@1.30.0`. */
  package: string;
  /** The folder whose node_modules has InferQL's packages. */
  installDir: string;
}

/**
 * Installs an engine whose install script failed: onnxruntime-node's script downloads CUDA libraries, which InferQL does not use, from
 * another host; if it fails, npm skips the package. Prints the command before it runs. Without the engine, the system is slower.
 * @param isAllowed INFERQL_INSTALL
 */
export async function provideEngine(
  folders: ToolFolders,
  { package: name, installDir }: MissingEngine,
  isAllowed: boolean,
): Promise<void> {
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', name];
  const line = `npm ${args.join(' ')}`;
  const consequence = 'Predictions use wasm, which is 5 to 10 times slower.';
  if (!isAllowed) {
    print(`  ${name} is not installed, and INFERQL_INSTALL=0 forbids '${line}'. ${consequence}`);
    return;
  }
  print(`  ${name} is not installed. Installing it in ${installDir}: ${line}\n  (INFERQL_INSTALL=0 forbids it.)`);
  const [npm, ...first] = findNpm();
  try {
    await showStep('Installing the engine', () =>
      runTool({ ...folders, dir: installDir }, 'engine', npm, [...first, ...args]),
    );
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    print(`  The engine could not be installed: see ${folders.logsDir}/engine.log. ${consequence}`);
  }
}
