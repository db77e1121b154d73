import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { projectDir } from './project-dir.mjs';

/** Takes settings from .env where the environment itself says nothing. Comes before every import that reads a setting. */
export function loadEnvFile() {
  const path = join(projectDir, '.env');
  if (existsSync(path)) {
    for (const [name, value] of Object.entries(parseEnv(readFileSync(path, 'utf8')))) process.env[name] ??= value;
  }
  for (const former of ['WORKERS', 'ENGINE_THREADS', 'REDIS_WAIT_MS']) {
    if (process.env[former]) process.env[`INFERQL_${former}`] ??= process.env[former];
  }
}
