import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { modelsDir } from '../installed-packages.ts';
import { quoteForShell, safeText } from '../terminal-text.ts';

export function addInit(program: Command, context: CommandContext): void {
  program
    .command('init')
    .description(
      'Create a small project: a model, settings, a compose file and a typed front end. Existing files are kept; package.json gets what it lacks.',
    )
    .argument('[folder]', 'target folder', '.')
    .action(async (folder: string) => {
      const { writeProject } = await import('../project/write-project-files.ts');
      const dir = resolve(folder);
      const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
        version: string;
      };
      const { written, kept, added, start } = await writeProject(dir, version, modelsDir).catch(
        (error: NodeJS.ErrnoException) => {
          if (!error.syscall) throw error;
          throw new CommandFailure(EXIT.failed, `Cannot write the project: ${safeText(error.message)}`);
        },
      );
      for (const path of written) context.screen.print(`  ${path}`);
      if (added.length > 0) context.screen.print(`Added to package.json: ${added.join(', ')}`);
      if (kept.length > 0) context.screen.print(`Left unchanged: ${kept.join(', ')}`);
      const change = dir === process.cwd() ? '' : `cd ${quoteForShell(relative(process.cwd(), dir))} && `;
      context.screen.print(`Next: ${change}npm install && ${start}`);
    });
}
