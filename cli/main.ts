import { Command, CommanderError } from 'commander';
import { type CommandContext, createContext, defaultUrl, explainError } from './command-context.ts';
import { addBench } from './commands/bench.ts';
import { addClassify } from './commands/classify.ts';
import { addDead } from './commands/dead.ts';
import { addDoctor } from './commands/doctor.ts';
import { addHelp } from './commands/help.ts';
import { addInit } from './commands/init.ts';
import { addKeys } from './commands/keys.ts';
import { addModels } from './commands/models.ts';
import { addQueue } from './commands/queue.ts';
import { addServe } from './commands/serve.ts';
import { addTenants } from './commands/tenants.ts';
import { addTypes } from './commands/types.ts';
import { addWatch } from './commands/watch.ts';
import { addEnvFiles } from './env-files.ts';
import { CommandFailure, EXIT, EXIT_HELP } from './exit-codes.ts';

/** A line per paragraph: commander wraps them. */
const DESCRIPTION = [
  'Serve image classifiers with InferQL, classify images, and inspect models and queues.',
  '',
  'The server is the one in --url, else in INFERQL_URL, else the one that runs from this folder, else ' +
    'http://127.0.0.1:4000 (or PORT). Start one with `inferql serve`.',
].join('\n');

function createProgram(context: CommandContext, version: string): Command {
  const program = new Command('inferql')
    .description(DESCRIPTION)
    .version(version)
    .option('-k, --key <key>', 'API key; prefer INFERQL_KEY, which other users of this machine cannot see')
    .addHelpText('after', EXIT_HELP)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  for (const add of [
    addServe,
    addInit,
    addDoctor,
    addTypes,
    addClassify,
    addWatch,
    addModels,
    addQueue,
    addKeys,
    addTenants,
    addDead,
    addBench,
    addHelp,
  ])
    add(program, context);
  return program;
}

/**
 * Runs the command; the result is in process.exitCode.
 * @param argv as process.argv
 * @param cloneDir the clone that this command is a part of, if it is
 */
export async function runInferql(argv: string[], version: string, cloneDir?: string): Promise<void> {
  const interrupt = new AbortController();
  const onSignal = () => {
    // A second signal means: do not wait for cancellations.
    if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
    interrupt.abort(new CommandFailure(EXIT.interrupted, 'Interrupted.'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const releaseSignals = () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  const context = createContext(interrupt.signal, releaseSignals);
  // Whoever reads the notes may be gone; the results matter.
  process.stderr.on('error', () => {});
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    // The reader of the results (`head`, a pager) has closed the pipe, which is not a failure.
    if (code !== 'EPIPE') {
      if (!process.exitCode) context.screen.note(`The results cannot be written: ${message}.`);
      process.exitCode ||= EXIT.failed;
    }
    interrupt.abort(new CommandFailure(EXIT.ok, ''));
  });

  let url = '';
  try {
    addEnvFiles(context.env, cloneDir);
    url = defaultUrl(context.env);
    const program = createProgram(context, version).hook('preAction', (_program, command) => {
      url = command.opts<{ url?: string }>().url ?? url;
      context.key = program.opts<{ key?: string }>().key ?? (context.env.INFERQL_KEY || undefined);
    });
    await program.parseAsync(argv);
    // Also for a command that has nothing to end early.
    interrupt.signal.throwIfAborted();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      return;
    }
    const failure = explainError(error, url);
    context.screen.clearProgress();
    if (failure.message) context.screen.note(failure.message);
    // A reader that closes the pipe does not turn a failure into a success.
    if (failure.exitCode !== EXIT.ok) process.exitCode = failure.exitCode;
  }
}
