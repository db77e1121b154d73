/** Prints docs/configuration.md to standard output. */
import { printConfiguration } from './documentation.ts';

process.stdout.write(printConfiguration());
