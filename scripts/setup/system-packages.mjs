// Programs of the system: finding them, and installing them where that may be done.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SetupError, showStep } from './screen.mjs';
import { runTool } from './tools.mjs';

/** The full path of a program on the PATH, or undefined. */
export function findOnPath(...names) {
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

/**
 * Installs a package of the system by whichever package manager is here and may be used without asking for a password.
 * @param {string} title shown while it works
 * @param {Record<string, string>} names the package's name by package manager; one that is not named is not used
 * @throws {SetupError}
 */
export async function installSystemPackage(title, names) {
  const isRoot = process.getuid?.() === 0;
  const managers = [
    {
      command: 'apt-get',
      root: true,
      steps: (name) => [['update'], ['install', '-y', '--no-install-recommends', name]],
    },
    { command: 'apk', root: true, steps: (name) => [['add', '--no-cache', name]] },
    { command: 'dnf', root: true, steps: (name) => [['install', '-y', name]] },
    { command: 'yum', root: true, steps: (name) => [['install', '-y', name]] },
    { command: 'zypper', root: true, steps: (name) => [['--non-interactive', 'install', name]] },
    { command: 'pacman', root: true, steps: (name) => [['-Sy', '--noconfirm', name]] },
    { command: 'brew', root: false, steps: (name) => [['install', name]] },
  ];
  const manager = managers.find(({ command, root }) => root === isRoot && names[command] && findOnPath(command));
  if (!manager) throw new SetupError(`${title}: no package manager here that may install without a password`);
  const { command, steps } = manager;
  await showStep(`${title} (${command})`, async () => {
    for (const args of steps(names[command])) {
      await runTool(`${command}-${names[command]}`, command, args, { env: { DEBIAN_FRONTEND: 'noninteractive' } });
    }
  });
}
