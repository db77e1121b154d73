/** Prints docs/configuration.md to standard output. */
import { printConfiguration } from './configuration-page.ts';

process.stdout.write(printConfiguration());
