import { type ForgetOutcome, Registry } from '@inferql/queue/models/registry';
import type { Command } from 'commander';
import { type CommandContext, connectServer, noModelYet } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { urlOption } from '../options.ts';
import { addRedisOptions, type RedisFlags, withRedis } from '../redis.ts';
import { formatTable } from '../table.ts';
import { safeJson, safeText } from '../terminal-text.ts';
import { addRepositoryCommands } from './repository.ts';

export function addModels(program: Command, context: CommandContext): void {
  const models = program.command('models');
  models
    .description('List the models of the server; * marks the default. Its commands manage a folder of models.')
    .addOption(urlOption(context.env))
    .option('--json', 'one line of JSON per model')
    // What it would refuse as too many arguments is a mistyped command.
    .allowExcessArguments()
    .hook('preSubcommand', refuseOptionsOfList)
    .action(async ({ url, json }: { url: string; json?: true }, { args: [unknown] }: Command) => {
      if (unknown !== undefined)
        models.error(`error: unknown command '${safeText(unknown)}'`, { code: 'commander.unknownCommand' });
      const served = await connectServer(context, url, 0).models({ signal: context.signal });
      if (served.length === 0) throw noModelYet(url);
      if (json) {
        for (const model of served) context.screen.print(safeJson(model));
        return;
      }
      const rows = served.map((model) => [
        `${model.name}${model.isDefault ? ' *' : ''}`,
        model.version,
        model.engine,
        model.precision.toLowerCase(),
        String(model.classCount),
        `${model.input.width}x${model.input.height}`,
        model.heatmap.available ? 'yes' : 'no',
        model.description,
      ]);
      const header = ['MODEL', 'VERSION', 'ENGINE', 'PRECISION', 'CLASSES', 'INPUT', 'HEATMAP', ''];
      context.screen.print(
        formatTable(
          header,
          rows.map((row) => row.map(safeText)),
          [4],
        ),
      );
    });

  addRepositoryCommands(models, context);

  addRedisOptions(models.command('forget'))
    .description('For operators: delete the records in Redis of a model that is no longer served.')
    // Not those of the list, which it refuses.
    .configureHelp({ showGlobalOptions: false })
    .argument('<name>', 'the model')
    .option('--with-dead-letters', 'also remove its dead letters')
    .action((name: string, flags: RedisFlags & { withDeadLetters?: true }) =>
      withRedis(flags, context, async (redis) => {
        const registry = new Registry(redis, { prefix: flags.prefix });
        const outcome = await registry.forget(name, { withDeadLetters: flags.withDeadLetters ?? false });
        if (outcome.kind !== 'forgotten')
          throw new CommandFailure(EXIT.failed, explainRefusal(safeText(name), outcome));
        context.screen.print(`forgot ${safeText(name)}`);
      }),
    );
}

/** Commander reads them in front of and behind the name of a command, which would ignore them. */
function refuseOptionsOfList(models: Command): void {
  for (const option of ['url', 'json']) {
    if (models.getOptionValueSource(option) === 'cli')
      models.error(`error: --${option} belongs to \`inferql models\` without a command`, {
        code: 'commander.unknownOption',
      });
  }
}

function explainRefusal(name: string, outcome: Exclude<ForgetOutcome, { kind: 'forgotten' }>): string {
  switch (outcome.kind) {
    case 'unknown':
      return `Redis has no model '${name}'.`;
    case 'served':
      return `A worker serves ${name}: remove it from the folder of models first (\`inferql models remove ${name}\`).`;
    case 'open':
      return `${name} has ${count(outcome.count, 'open prediction')}: cancel them, or try again after their deadlines.`;
    case 'deadLetters':
      return `${name} has ${count(outcome.count, 'dead letter')} (\`inferql dead list -m ${name}\`): --with-dead-letters removes them.`;
    default:
      return outcome satisfies never;
  }
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}
