// Builds dist/ from installed packages, and nothing else: what the container image needs.
import { buildCode, buildPage, generateDocuments } from './setup/build.mjs';
import { runCommand } from './setup/screen.mjs';
import { withSetupLock } from './setup/setup.mjs';

await runCommand(() =>
  withSetupLock(async () => {
    await generateDocuments();
    await buildCode();
    await buildPage();
  }),
);
