import type { Prediction } from '@inferql/client';
import type { Command } from 'commander';
import { type CommandContext, connectServer } from '../command-context.ts';
import { EXIT } from '../exit-codes.ts';
import { integerBetween } from '../option-parsers.ts';
import { urlOption } from '../options.ts';
import { createWriter, recordOutcome } from '../output-formats.ts';
import { formatDuration, safeJson, safeText } from '../terminal-text.ts';

interface WatchFlags {
  url: string;
  top: number;
  json?: true;
}

export function addWatch(program: Command, context: CommandContext): void {
  program
    .command('watch')
    .description(
      'Watch a prediction until it ends, across restarts of the server. Exits with 0 if it SUCCEEDED, else with 1.',
    )
    .argument('<id>', 'id of the prediction')
    .addOption(urlOption(context.env))
    .option('-t, --top <n>', 'labels to show', integerBetween(1, 20), 5)
    .option('--json', 'one line of JSON per state')
    .action((id: string, flags: WatchFlags) => watchPrediction(id, flags, context));
}

async function watchPrediction(id: string, { url, top, json }: WatchFlags, context: CommandContext): Promise<void> {
  const { screen, signal, stdout } = context;
  // First request without retries: do not wait for a server that was never there.
  await connectServer(context, url, 0).prediction(id, { signal });
  let last: Prediction | undefined;
  for await (const prediction of connectServer(context, url).watch(id, { topK: top, signal })) {
    last = prediction;
    screen.print(json ? safeJson(prediction) : describeState(prediction));
  }
  if (last?.status !== 'SUCCEEDED') {
    process.exitCode = EXIT.failed;
    return;
  }
  if (json || !last.result) return;
  const prediction = { ...last, status: last.status, result: last.result };
  const image = { name: id, content: '' };
  screen.print(createWriter('table', [id], top, stdout.isTTY).write(recordOutcome({ index: 0, image, prediction })));
}

function describeState({ status, queuePosition, estimatedStartMs, attempts, error }: Prediction): string {
  switch (status) {
    case 'QUEUED': {
      const place = queuePosition === null ? '' : `, place ${queuePosition}`;
      return `QUEUED${place}${estimatedStartMs === null ? '' : `, starts in about ${formatDuration(estimatedStartMs)}`}`;
    }
    case 'PROCESSING':
      return attempts > 1 ? `PROCESSING, attempt ${attempts}` : 'PROCESSING';
    case 'SUCCEEDED':
    case 'CANCELED':
      return status;
    case 'FAILED':
    case 'EXPIRED':
      return error ? `${status}, ${error.code}: ${safeText(error.message)}` : status;
    default:
      return status satisfies never;
  }
}
