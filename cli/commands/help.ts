import type { Command } from 'commander';
import { safeText } from '../terminal-text.ts';

/** Commander's own command knows only commands of one word. */
export function addHelp(program: Command): void {
  program
    .helpCommand(false)
    .command('help [command...]')
    .description('display help for command')
    .action(async (names: string[]) => {
      let command = program;
      for (const name of names) {
        const next = command.commands.find((each) => each.name() === name || each.aliases().includes(name));
        if (!next) {
          const whole = [...namesOf(command), name].join(' ');
          program.error(`error: unknown command '${safeText(whole)}'`, { code: 'commander.unknownCommand' });
        }
        command = next;
      }
      // Some print it themselves.
      await program.parseAsync([...names, '--help'], { from: 'user' });
    });
}

/** Without the program's. */
function namesOf(command: Command): string[] {
  return command.parent ? [...namesOf(command.parent), command.name()] : [];
}
