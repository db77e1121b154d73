#!/usr/bin/env node
// The command. Plain JavaScript, so that it can say what to do where nothing was built yet.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const projectDir = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const main = join(projectDir, 'dist', 'cli', 'main.js');

if (existsSync(main)) {
  // The operator's commands find the private Redis of this project there, whatever folder they are called from.
  process.env.INFERQL_STATE_DIR ??= join(projectDir, '.inferql');
  const { runInferql } = await import(pathToFileURL(main).href);
  const { version } = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8'));
  await runInferql(process.argv, version);
} else {
  console.error(
    `inferql is not built yet. In ${projectDir}, run\n\n  npm start\n\nwhich sets everything up and starts the service.`,
  );
  process.exitCode = 3;
}
