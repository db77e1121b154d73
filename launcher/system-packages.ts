/** Finds system programs, and installs them if that is allowed. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runTool, type ToolFolders } from './run-tool.ts';
import { print, SetupError, showStep } from './terminal.ts';

/** The full path of the first of some programs that is on the PATH. */
export function findOnPath(...names: string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  for (const name of names) {
    for (const folder of folders) {
      const candidate = join(folder, name);
      try {
        accessSync(candidate, constants.X_OK);
        return candidate;
      } catch {}
    }
  }
  return undefined;
}

interface PackageManager {
  readonly command: string;
  /** True: used only as root. False: never used as root. So no manager asks for a password. */
  readonly asRoot: boolean;
  steps(name: string): string[][];
}

const MANAGERS: PackageManager[] = [
  {
    command: 'apt-get',
    asRoot: true,
    steps: (name) => [['update'], ['install', '-y', '--no-install-recommends', name]],
  },
  { command: 'apk', asRoot: true, steps: (name) => [['add', '--no-cache', name]] },
  { command: 'dnf', asRoot: true, steps: (name) => [['install', '-y', name]] },
  { command: 'yum', asRoot: true, steps: (name) => [['install', '-y', name]] },
  { command: 'zypper', asRoot: true, steps: (name) => [['--non-interactive', 'install', name]] },
  { command: 'pacman', asRoot: true, steps: (name) => [['-Sy', '--noconfirm', name]] },
  { command: 'brew', asRoot: false, steps: (name) => [['install', name]] },
];

/** How a package would be installed here: by the first package manager that may be used without a password. */
export function planInstallation(
  names: Record<string, string>,
  isRoot: boolean,
  isThere: (command: string) => boolean,
): { command: string; steps: string[][] } | undefined {
  const manager = MANAGERS.find(
    ({ command, asRoot }) => asRoot === isRoot && names[command] !== undefined && isThere(command),
  );
  return manager && { command: manager.command, steps: manager.steps(names[manager.command]!) };
}

/**
 * Installs a package of the system. The commands are printed before they run.
 * @param title the step's title, for example 'Installing Redis'
 * @param names the package's name by package manager; other managers are not used
 * @param isAllowed INFERQL_INSTALL
 * @throws SetupError if it is not allowed, there is no package manager, or it fails
 */
export async function installSystemPackage(
  project: ToolFolders,
  title: string,
  names: Record<string, string>,
  isAllowed: boolean,
): Promise<void> {
  const plan = planInstallation(names, process.getuid?.() === 0, (command) => findOnPath(command) !== undefined);
  if (!plan) throw new SetupError(`${title}: no package manager works here without a password.`);
  const { command, steps } = plan;
  const lines = steps.map((args) => [command, ...args].join(' ')).join(' && ');
  if (!isAllowed) throw new SetupError(`${title}: INFERQL_INSTALL=0 forbids '${lines}'.`);
  print(`  ${title}: ${lines}\n  (INFERQL_INSTALL=0 forbids it.)`);
  await showStep(title, async () => {
    for (const args of steps) {
      await runTool(project, `${command}-${names[command]}`, command, args, {
        env: { DEBIAN_FRONTEND: 'noninteractive' },
      });
    }
  });
}
