import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Found from this file: the scripts may be started from anywhere. */
export const projectDir = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
