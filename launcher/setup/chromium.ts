/** The browser of the end-to-end tests. */
import { existsSync, readFileSync } from 'node:fs';
import type { Project } from '../project.ts';
import { runPackageScript } from '../run-tool.ts';
import { findOnPath, installSystemPackage } from '../system-packages.ts';
import { SetupError, showStep } from '../terminal.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const MAC_APPS = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

export interface ChromiumOptions {
  /** INFERQL_CHROMIUM: the browser to use. */
  chromium: string | undefined;
  /** INFERQL_INSTALL: whether one may be installed. */
  install: boolean;
}

/** The path of a Chromium or Chrome; installs one if there is none and that is allowed. Undefined if none can be installed. */
export async function provideChromium(
  project: Project,
  { chromium, install }: ChromiumOptions,
): Promise<string | undefined> {
  const found = await findChromium(chromium);
  if (found) return found;
  for (const way of [installFromSystem, downloadWithPlaywright]) {
    try {
      await way(project, install);
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      continue;
    }
    const provided = await findChromium(chromium);
    if (provided) return provided;
  }
  return undefined;
}

async function findChromium(chosen: string | undefined): Promise<string | undefined> {
  if (chosen) {
    if (existsSync(chosen)) return chosen;
    throw new SetupError(`INFERQL_CHROMIUM names ${chosen}, which does not exist.`);
  }
  const { chromium } = await import('playwright-core');
  return findOnPath(...NAMES) ?? [...MAC_APPS, chromium.executablePath()].find((path) => existsSync(path));
}

async function installFromSystem(project: Project, isAllowed: boolean): Promise<void> {
  // Ubuntu's package leads to the snap store, which containers do not have.
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const apt = /^ID=ubuntu/m.test(release) ? undefined : 'chromium';
  const names = { ...(apt && { 'apt-get': apt }), apk: 'chromium', dnf: 'chromium', pacman: 'chromium' };
  await installSystemPackage(project, 'Installing Chromium', names, isAllowed);
}

async function downloadWithPlaywright(project: Project, isAllowed: boolean): Promise<void> {
  if (!isAllowed) throw new SetupError('INFERQL_INSTALL=0 forbids downloading Chromium.');
  await showStep('Downloading Chromium', () =>
    runPackageScript(project, 'chromium', 'playwright-core/cli.js', ['install', 'chromium']),
  );
}
