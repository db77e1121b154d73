import { Command } from 'commander';
import { expect, test } from 'vitest';
import type { CommandContext } from '../command-context.ts';
import { addClassify } from './classify.ts';

test('CSV, which has no columns for outputs, is refused with --outputs', async () => {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addClassify(program, { env: {} } as CommandContext);
  const run = program.parseAsync(['classify', 'cat.jpg', '--csv', '--outputs'], { from: 'user' });
  await expect(run).rejects.toThrow("option '--outputs' cannot be used with option '--csv'");
});
