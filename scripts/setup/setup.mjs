// The steps from a fresh clone to something that runs, one start at a time; each is over in milliseconds when its stamp is right.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildCode, buildPage, generateDocuments } from './build.mjs';
import { waitForLock } from './lock.mjs';
import { prepareModels } from './models.mjs';
import { installPackages } from './packages.mjs';
import { makeStateDirs, setupDir, unfinishedDir } from './places.mjs';
import { say } from './screen.mjs';
import { endLeftoverTool } from './tools.mjs';

/** Runs `work` while no other start of this project sets anything up. */
export async function withSetupLock(work) {
  makeStateDirs();
  const lock = await waitForLock(join(setupDir, 'setup.lock'), (pid) =>
    say(`  Another start is setting this folder up (process ${pid}); waiting for it.`),
  );
  try {
    await endLeftoverTool();
    for (const name of readdirSync(unfinishedDir)) {
      rmSync(join(unfinishedDir, name), { recursive: true, force: true, maxRetries: 10 });
    }
    return await work();
  } finally {
    lock.release();
  }
}

/** Packages, typed documents, dist/, the page, the models. Needs the set-up's lock. */
export async function setUpProject() {
  await installPackages();
  await generateDocuments();
  await buildCode();
  await buildPage();
  await prepareModels();
}
