// `npm run models -- <command>`: the model repository's commands, once the code that they need is installed and built.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { loadEnvFile } from './setup/env-file.mjs';

loadEnvFile();
const { buildCode, generateDocuments } = await import('./setup/build.mjs');
const { installPackages } = await import('./setup/packages.mjs');
const { distDir, modelsDir, projectDir, stateDir } = await import('./setup/places.mjs');
const { complain, describeFailure } = await import('./setup/screen.mjs');
const { withSetupLock } = await import('./setup/setup.mjs');

try {
  await withSetupLock(async () => {
    await installPackages();
    await generateDocuments();
    await buildCode();
  });
  const folders = ['--models-dir', modelsDir, '--state-dir', stateDir, '--samples-dir', join(modelsDir, 'samples')];
  const words = process.argv.slice(2);
  // What Redis keeps of a model is the business of the command for operators.
  const command =
    words[0] === 'forget'
      ? [`${distDir}/cli/main.js`, 'models', ...words]
      : [`${distDir}/converter/main.js`, ...folders, ...words];
  const models = spawn(process.execPath, command, {
    cwd: process.env.INIT_CWD ?? projectDir,
    stdio: 'inherit',
  });
  // Ctrl-C reaches the command, too: it cleans up, and this process ends after it.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
  models.on('exit', (code, signal) => process.exit(signal ? 1 : code));
} catch (error) {
  complain(describeFailure(error));
  process.exit(1);
}
