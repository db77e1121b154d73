import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { EXIT } from '../exit-codes.ts';
import { safeJson, safeText } from '../terminal-text.ts';

const SIGNS = { ok: '✓', warning: '!', problem: '✗' } as const;

export function addDoctor(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .description(
      'Check Node, settings, port, memory, Redis and engines on this machine. Exits with 1 if it finds a problem.',
    )
    .option('--json', 'one line of JSON per check')
    .action(async ({ json }: { json?: true }) => {
      const { runChecks } = await import('../doctor/checks.ts');
      const findings = await runChecks({ env: context.env, dir: process.cwd(), signal: context.signal });
      for (const finding of findings) {
        if (json) context.screen.print(safeJson(finding));
        else {
          context.screen.print(`${SIGNS[finding.verdict]} ${finding.check}: ${safeText(finding.found)}`);
          if (finding.cure) context.screen.print(`    ${safeText(finding.cure)}`);
        }
      }
      if (findings.some(({ verdict }) => verdict === 'problem')) process.exitCode = EXIT.failed;
    });
}
