import { InferqlError } from '@inferql/queue/error-codes';
import {
  createDeadLetters,
  type DeadLetter,
  type DeadLetters,
  type UnreadableDeadLetter,
} from '@inferql/queue/jobs/dead-letter-admin';
import { Registry } from '@inferql/queue/models/registry';
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { addRedisOptions, type RedisFlags, withRedis } from '../redis.ts';
import { formatTable } from '../table.ts';
import { safeJson, safeText } from '../terminal-text.ts';

interface DeadFlags extends RedisFlags {
  model?: string;
  json?: true;
  all?: true;
}

/** @param signal also ends the lists */
type Work = (letters: DeadLetters, model: string, signal: AbortSignal) => Promise<void>;

const PAGE = 500;

/** For operators: it uses Redis directly, since callers who may only classify must not see or run what others sent. */
export function addDead(program: Command, context: CommandContext): void {
  const dead = program
    .command('dead')
    .description('For operators: list, retry or delete failed jobs (dead letters), directly in Redis.');
  const { screen } = context;

  const addAction = (name: string, description: string) =>
    addRedisOptions(dead.command(name).description(description)).option(
      '-m, --model <name>',
      'model (default: the only one)',
    );

  addAction('list', 'List the dead letters, oldest first.')
    .option('--json', 'one line of JSON per entry')
    .action((flags: DeadFlags) =>
      withDeadLetters(flags, context, async (letters, model, signal) => {
        const rows: string[][] = [];
        for await (const letter of listAll(letters, model, signal)) {
          if (flags.json) screen.print(safeJson(letter));
          else rows.push(describeLetter(letter));
        }
        if (flags.json) return;
        if (rows.length === 0) screen.note(`${model} has no dead letters.`);
        else screen.print(formatTable(['ENTRY', 'SINCE', 'ERROR', 'ATTEMPTS', 'PREDICTIONS'], rows, [3]));
      }),
    );

  addAction('retry', 'Queue dead letters again, as new predictions that refer to the old ones.')
    .argument('[entries...]', 'ids from `dead list`')
    .option('--all', 'all dead letters of the model')
    .action((entries: string[], flags: DeadFlags) =>
      withDeadLetters(flags, context, async (letters, model, signal) => {
        for (const entryId of await chooseEntries(letters, model, entries, flags, signal)) {
          signal.throwIfAborted();
          screen.print(await retryLetter(letters, model, entryId));
        }
      }),
    );

  addAction('drop', 'Delete dead letters.')
    .argument('[entries...]', 'ids from `dead list`')
    .option('--all', 'all dead letters of the model')
    .action((entries: string[], flags: DeadFlags) =>
      withDeadLetters(flags, context, async (letters, model, signal) => {
        const chosen = await chooseEntries(letters, model, entries, flags, signal);
        let dropped = 0;
        for (let i = 0; i < chosen.length && !signal.aborted; i += PAGE) {
          dropped += await letters.drop(model, chosen.slice(i, i + PAGE));
        }
        screen.print(`${dropped} dropped`);
        signal.throwIfAborted();
        if (!flags.all && dropped < chosen.length) process.exitCode = EXIT.failed;
      }),
    );
}

async function withDeadLetters(flags: DeadFlags, context: CommandContext, work: Work): Promise<void> {
  await withRedis(flags, context, async (redis) => {
    const registry = new Registry(redis, { prefix: flags.prefix });
    const models = (await registry.models()).map(({ name }) => name);
    const model = flags.model ?? (models.length === 1 ? models[0] : undefined);
    if (!model || !models.includes(model)) {
      const names = models.length > 0 ? `Models: ${models.join(', ')}.` : 'This Redis has no models.';
      throw new CommandFailure(
        EXIT.usage,
        `${model ? `No model '${safeText(model)}'` : 'Choose a model with --model'}. ${names}`,
      );
    }
    await work(createDeadLetters(redis, { prefix: flags.prefix }), model, context.signal);
  });
}

async function* listAll(
  letters: DeadLetters,
  model: string,
  signal: AbortSignal,
): AsyncGenerator<DeadLetter | UnreadableDeadLetter> {
  let after: string | undefined;
  for (;;) {
    signal.throwIfAborted();
    const page = await letters.list(model, { count: PAGE, ...(after === undefined ? {} : { after }) });
    yield* page;
    after = page.at(-1)?.entryId;
    if (after === undefined) return;
  }
}

async function chooseEntries(
  letters: DeadLetters,
  model: string,
  entries: string[],
  { all }: DeadFlags,
  signal: AbortSignal,
): Promise<string[]> {
  if (all ? entries.length > 0 : entries.length === 0)
    throw new CommandFailure(EXIT.usage, 'Pass entry ids, or --all.');
  for (const entry of entries) {
    if (!/^\d+-\d+$/.test(entry))
      throw new CommandFailure(EXIT.usage, `Unknown entry '${safeText(entry)}'. See \`inferql dead list\`.`);
  }
  if (!all) return entries;
  const found: string[] = [];
  for await (const { entryId } of listAll(letters, model, signal)) found.push(entryId);
  return found;
}

async function retryLetter(letters: DeadLetters, model: string, entryId: string): Promise<string> {
  try {
    const outcome = await letters.retry(model, entryId);
    if (outcome.kind === 'admitted') return `${entryId}  ${outcome.state.id}`;
    process.exitCode = EXIT.failed;
    return `${entryId}  not queued: ${outcome.kind}`;
  } catch (error) {
    if (!(error instanceof InferqlError) || error.code === 'UNAVAILABLE') throw error;
    process.exitCode = EXIT.failed;
    return `${entryId}  ${error.code}: ${safeText(error.message)}`;
  }
}

function describeLetter(letter: DeadLetter | UnreadableDeadLetter): string[] {
  const ofEntry = [letter.entryId, new Date(letter.buriedAtMs).toISOString()];
  if (letter.unreadable !== undefined) return [...ofEntry, `unreadable: ${safeText(letter.unreadable)}`, '', ''];
  return [...ofEntry, letter.errorCode, String(letter.attempts), letter.predictions.map(safeText).join(' ')];
}
