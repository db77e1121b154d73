import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { findEntry, findMissingEngine, findPage, modelsDir } from '../installed-packages.ts';

const HELP = `
Runs a server, a worker and a private Redis until you press Ctrl-C. Settings are environment variables, or lines of the file
.env in this folder: PORT, HOST, REDIS_URL (instead of the private Redis), INFERQL_WORKERS and others.`;

export function addServe(program: Command, context: CommandContext): void {
  program
    .command('serve')
    .description('Run the whole system on this machine: API, web page, GraphiQL, worker, and a private Redis.')
    .argument(
      '[folder]',
      'model repository, one folder per model (default: INFERQL_MODELS_DIR, else ./models if it contains a model, else ResNet50)',
    )
    .addHelpText('after', HELP)
    .action(async (folder: string | undefined) => {
      // The launcher has its own signal handlers: a system stops in steps.
      context.releaseSignals();
      const dir = process.cwd();
      const worker = findEntry('@inferql/worker/main');
      const { serve } = await import('@inferql/launcher/serve');
      await serve({
        dir,
        modelsDir: resolve(folder ?? (process.env.INFERQL_MODELS_DIR || (await findModelsDir()))),
        webDir: findPage(),
        missingEngine: findMissingEngine(worker),
        programs: {
          server: findEntry('@inferql/server/main'),
          worker,
          converter: findEntry('@inferql/converter/main'),
        },
      });
    });
}

/** The current folder's models, else those that come with the command. A folder of this name may also contain something else. */
async function findModelsDir(): Promise<string> {
  const { listModels } = await import('@inferql/converter/commands/command-context');
  const names = await listModels('models').catch(() => []);
  return names.length > 0 ? 'models' : modelsDir;
}
