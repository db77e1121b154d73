// The browser of the end-to-end tests.
import { existsSync, readFileSync } from 'node:fs';
import { SetupError, showStep } from './screen.mjs';
import { findOnPath, installSystemPackage } from './system-packages.mjs';
import { runPackageScript } from './tools.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const MAC_APPS = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The path of a Chromium or Chrome, installed where there is none; undefined where that cannot be. Needs the packages. */
export async function provideChromium() {
  const found = await findChromium();
  if (found) return found;
  for (const way of [installFromSystem, installByPlaywright]) {
    try {
      await way();
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      continue;
    }
    const provided = await findChromium();
    if (provided) return provided;
  }
  return undefined;
}

async function findChromium() {
  const chosen = process.env.INFERQL_CHROMIUM;
  if (chosen) {
    if (existsSync(chosen)) return chosen;
    throw new SetupError(`INFERQL_CHROMIUM names ${chosen}, which does not exist.`);
  }
  const { chromium } = await import('playwright-core');
  return findOnPath(...NAMES) ?? [...MAC_APPS, chromium.executablePath()].find((path) => existsSync(path));
}

async function installFromSystem() {
  // Ubuntu's package is a door to the snap store, which containers do not have.
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const apt = /^ID=ubuntu/m.test(release) ? {} : { 'apt-get': 'chromium' };
  await installSystemPackage('Installing Chromium', { ...apt, apk: 'chromium', dnf: 'chromium', pacman: 'chromium' });
}

async function installByPlaywright() {
  await showStep('Downloading Chromium', () =>
    runPackageScript('chromium', 'playwright-core/cli.js', ['install', 'chromium']),
  );
}
