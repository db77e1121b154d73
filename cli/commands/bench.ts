import { readFile } from 'node:fs/promises';
import { InferqlError } from '@inferql/client';
import type { Command } from 'commander';
import { type CommandContext, connectServer, requireModel } from '../command-context.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { findImages } from '../image-sources.ts';
import { integerBetween } from '../option-parsers.ts';
import { modelOption, urlOption } from '../options.ts';
import { formatTable } from '../table.ts';
import { formatDuration, safeJson, safeText } from '../terminal-text.ts';

interface BenchFlags {
  url: string;
  model?: string;
  clients: number;
  duration: number;
  requests?: number;
  json?: true;
}

interface Measured {
  latenciesMs: number[];
  cached: number;
  errors: Map<string, number>;
  elapsedMs: number;
}

export function addBench(program: Command, context: CommandContext): void {
  program
    .command('bench')
    .description('Measure a server: each client sends images one after the other, as fast as they are answered.')
    .argument('<images...>', 'images, sent one after the other')
    .addOption(urlOption(context.env))
    .addOption(modelOption())
    .option('-c, --clients <n>', 'concurrent clients', integerBetween(1, 1_000), 8)
    .option('-d, --duration <seconds>', 'duration', integerBetween(1, 3_600), 10)
    .option(
      '-n, --requests <n>',
      'stop after this many requests, if they take less time',
      integerBetween(1, 10_000_000),
    )
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
A time is measured from the first byte of the upload to the finished prediction, as a user of the client sees it. The
server answers repeated images from its cache: start it with INFERQL_CACHE_TTL_MS=0 INFERQL_SHARE=off to measure the model.`,
    )
    .action((args: string[], flags: BenchFlags) => measureServer(args, flags, context));
}

async function measureServer(args: string[], flags: BenchFlags, context: CommandContext): Promise<void> {
  const { images: sources } = await findImages(args, context.stdin, context.signal);
  await requireModel(context, flags.url, flags.model);
  const images = await Promise.all(
    sources.map(async ({ name, content }) => {
      if (typeof content !== 'string') return content;
      // In memory, since the disk is not measured.
      try {
        return new Blob([await readFile(content)]);
      } catch {
        throw new CommandFailure(EXIT.usage, `${safeText(name)} cannot be read.`);
      }
    }),
  );
  const measured = await driveServer(images, flags, context);
  context.screen.clearProgress();
  const summary = summarize(measured, flags.clients);
  context.screen.print(flags.json ? safeJson(summary) : drawSummary(summary));
  context.signal.throwIfAborted();
  if (summary.failed > 0) process.exitCode = EXIT.failed;
}

async function driveServer(images: Blob[], flags: BenchFlags, context: CommandContext): Promise<Measured> {
  const { screen, signal } = context;
  // A refusal is an answer here, not a reason to retry.
  const client = connectServer(context, flags.url, 0);
  const measured: Measured = { latenciesMs: [], cached: 0, errors: new Map(), elapsedMs: 0 };
  const beganMs = performance.now();
  const endMs = beganMs + flags.duration * 1_000;
  const most = flags.requests ?? Number.POSITIVE_INFINITY;
  let sent = 0;
  let done = 0;

  async function runClient(): Promise<void> {
    while (sent < most && performance.now() < endMs && !signal.aborted) {
      const image = images[sent++ % images.length]!;
      const startMs = performance.now();
      try {
        const { cached } = await client.classify(image, {
          signal,
          topK: 1,
          ...(flags.model === undefined ? {} : { model: flags.model }),
        });
        measured.latenciesMs.push(performance.now() - startMs);
        if (cached) measured.cached++;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof InferqlError)) throw error;
        measured.errors.set(error.code, (measured.errors.get(error.code) ?? 0) + 1);
      }
      done++;
      const total = Math.min(
        most,
        Math.max(done, Math.round((done * flags.duration * 1_000) / (performance.now() - beganMs))),
      );
      screen.showProgress({ done, failed: done - measured.latenciesMs.length, total });
    }
  }
  await Promise.all(Array.from({ length: flags.clients }, runClient));
  measured.elapsedMs = performance.now() - beganMs;
  return measured;
}

function summarize({ latenciesMs, cached, errors, elapsedMs }: Measured, clients: number) {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  // Nearest rank.
  const percentile = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  return {
    clients,
    elapsedMs,
    succeeded: sorted.length,
    failed: [...errors.values()].reduce((sum, count) => sum + count, 0),
    errors: Object.fromEntries(errors),
    cached,
    ratePerSecond: sorted.length / (elapsedMs / 1_000),
    latencyMs: {
      p50: percentile(0.5),
      p90: percentile(0.9),
      p95: percentile(0.95),
      p99: percentile(0.99),
      max: sorted.at(-1) ?? null,
    },
  };
}

function drawSummary({
  clients,
  elapsedMs,
  succeeded,
  failed,
  errors,
  cached,
  ratePerSecond,
  latencyMs,
}: ReturnType<typeof summarize>): string {
  const facts = formatTable(
    ['clients', String(clients)],
    [
      ['time', formatDuration(elapsedMs)],
      ['succeeded', String(succeeded)],
      [
        'failed',
        failed === 0
          ? '0'
          : `${failed} (${Object.entries(errors)
              .map(([code, count]) => `${count} ${code}`)
              .join(', ')})`,
      ],
      ['rate', `${ratePerSecond.toFixed(1)}/s`],
      ...Object.entries(latencyMs).map(([name, ms]) => [name, ms === null ? 'none' : formatDuration(ms)]),
    ],
  );
  if (cached === 0) return facts;
  return `${facts}\n\n${cached} of ${succeeded} were shared or cached, so they do not measure the model: see --help.`;
}
