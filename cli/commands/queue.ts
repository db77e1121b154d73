import type { Queue } from '@inferql/client';
import type { Command } from 'commander';
import { type CommandContext, connectServer, noModelYet, requireModel } from '../command-context.ts';
import { urlOption } from '../options.ts';
import { formatTable } from '../table.ts';
import { formatDuration, safeJson, safeText } from '../terminal-text.ts';

interface QueueFlags {
  url: string;
  json?: true;
  watch?: true;
}

export function addQueue(program: Command, context: CommandContext): void {
  program
    .command('queue')
    .description('Show the queue of a model, its rate and its workers.')
    .argument('[model]', "model (default: the server's default)")
    .addOption(urlOption(context.env))
    .option('--json', 'one line of JSON; with --watch, one per change')
    .option('-w, --watch', 'print the queue again whenever it changes, until interrupted')
    .action((model: string | undefined, flags: QueueFlags) => showQueue(model, flags, context));
}

async function showQueue(
  model: string | undefined,
  { url, json, watch }: QueueFlags,
  context: CommandContext,
): Promise<void> {
  const { screen, signal } = context;
  const show = (queue: Queue) => screen.print(json ? safeJson(queue) : watch ? describeQueue(queue) : drawQueue(queue));
  const queue = await connectServer(context, url, 0).queue(model, { signal });
  if (!queue) {
    await requireModel(context, url, model);
    throw noModelYet(url);
  }
  if (!watch) return show(queue);
  for await (const state of connectServer(context, url).watchQueue(model, { signal })) show(state);
}

const formatRate = (rate: number | null) => (rate === null ? 'unknown' : `${rate.toFixed(1)}/s`);

function describeQueue({ waiting, processing, ratePerSecond, latencyMs, workers }: Queue): string {
  const latency = latencyMs === null ? '' : `, median ${formatDuration(latencyMs)}`;
  return `${waiting} waiting, ${processing} processing, ${formatRate(ratePerSecond)}${latency}, ${workers.length} workers`;
}

const describeEnded = ({ succeeded, failed, canceled, expired }: NonNullable<Queue['ended']>) =>
  `${succeeded} succeeded, ${failed} failed, ${canceled} canceled, ${expired} expired`;

function drawQueue(queue: Queue): string {
  const facts = formatTable(
    [safeText(queue.model), ''],
    [
      ['waiting', `${queue.waiting} of ${queue.maxQueueSize} (${(queue.queuedBytes / 1e6).toFixed(1)} MB)`],
      ['processing', String(queue.processing)],
      ['rate', `${formatRate(queue.ratePerSecond)} of ${formatRate(queue.capacityPerSecond)}`],
      ['latency', queue.latencyMs === null ? 'unknown' : formatDuration(queue.latencyMs)],
      // For operators only.
      ...(queue.ended ? [['ended', describeEnded(queue.ended)]] : []),
      ...(queue.deadLetters === null ? [] : [['dead letters', String(queue.deadLetters)]]),
    ],
  );
  const whole = `${facts}${drawTenants(queue.tenants ?? [])}`;
  if (queue.workers.length === 0) return `${whole}\n\nNo worker is running.`;
  const workers = formatTable(
    ['WORKER', 'ENGINE', 'VERSION', 'IMAGE', 'SINCE'],
    queue.workers.map(({ id, engine, version, imageMs, startedAt }) =>
      [id, engine, version, imageMs === null ? 'unknown' : formatDuration(imageMs), startedAt].map(safeText),
    ),
    [3],
  );
  return `${whole}\n\n${workers}`;
}

const MAX_ROWS = 20;

/** Nothing without several tenants: the counts are those of the whole queue. */
function drawTenants(tenants: NonNullable<Queue['tenants']>): string {
  if (tenants.length < 2) return '';
  const rows = tenants
    .slice(0, MAX_ROWS)
    .map(({ tenant, waiting, processing }) => [safeText(tenant), String(waiting), String(processing)]);
  const more = tenants.length > MAX_ROWS ? `\nand ${tenants.length - MAX_ROWS} more tenants` : '';
  return `\n\n${formatTable(['TENANT', 'WAITING', 'PROCESSING'], rows, [1, 2])}${more}`;
}
