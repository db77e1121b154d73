import type { InferqlError, Priority } from '@inferql/client';
import { type Command, Option } from 'commander';
import { type CommandContext, connectServer, requireModel } from '../command-context.ts';
import { EXIT } from '../exit-codes.ts';
import { type Memory, openMemory } from '../finished-images.ts';
import { describeSkipped, findImages, type ImageSource } from '../image-sources.ts';
import { integerBetween } from '../option-parsers.ts';
import { modelOption, urlOption } from '../options.ts';
import { createWriter, type Format, type ImageRecord, type RecordWriter, recordOutcome } from '../output-formats.ts';
import { formatDuration } from '../terminal-text.ts';

interface ClassifyFlags {
  url: string;
  model?: string;
  top?: number;
  json?: true;
  csv?: true;
  table?: true;
  concurrency: number;
  priority: Lowercase<Priority>;
  timeout?: number;
  resume?: string;
  outputs?: true;
}

/** The labels to request if a state file keeps them: a later run may show more. */
const KEPT_LABELS = 20;

export function addClassify(program: Command, context: CommandContext): void {
  program
    .command('classify')
    .description('Classify images: files, folders, or - for standard input.')
    .argument('<images...>', 'photo.jpg  folder/  *.png  -')
    .addOption(urlOption(context.env))
    .addOption(modelOption())
    .option('-t, --top <n>', 'labels to show (default: 5, or 1 with several images)', integerBetween(1, 20))
    .addOption(new Option('--json', 'one line of JSON per image').conflicts(['csv', 'table']))
    .addOption(
      new Option('--csv', 'file,rank,label,index,score,error: one line per label').conflicts(['json', 'table']),
    )
    .addOption(new Option('--table', 'a readable table (default)').conflicts(['json', 'csv']))
    .option('-c, --concurrency <n>', 'images in flight at once', integerBetween(1, 256), 8)
    .addOption(
      new Option('-p, --priority <level>', 'priority of the images')
        .choices(['high', 'normal', 'low'])
        .default('normal'),
    )
    .option('--timeout <seconds>', 'time limit per image', integerBetween(1, 86_400))
    .addOption(
      new Option('--outputs', 'also print heads, embeddings, tensors and extra of models that have them').conflicts(
        'csv',
      ),
    )
    .option('--resume <file>', 'record finished images in this file, and skip them next time')
    .addHelpText(
      'after',
      `
Examples:
  inferql classify photo.jpg
  inferql classify holiday/ --top 3 --csv > holiday.csv
  inferql classify archive/ --resume archive.state --json > archive.jsonl
  curl -s https://example.org/cat.jpg | inferql classify -

With --resume, the results of earlier runs are printed again, so the output is always complete. Images that failed
or have changed since then, or whose outputs are now wanted, are classified again.`,
    )
    .action((args: string[], flags: ClassifyFlags) => classifyImages(args, flags, context));
}

async function classifyImages(args: string[], flags: ClassifyFlags, context: CommandContext): Promise<void> {
  const { screen, signal, stdout } = context;
  const { images, skipped } = await findImages(args, context.stdin, signal);
  await requireModel(context, flags.url, flags.model);
  const memory = flags.resume === undefined ? undefined : await openMemory(flags.resume, flags.model);
  try {
    const top = flags.top ?? (images.length === 1 || flags.json || flags.csv ? 5 : 1);
    const format: Format = flags.json ? 'json' : flags.csv ? 'csv' : 'table';
    const names = images.map(({ name }) => name);
    const writer = createWriter(format, names, top, stdout.isTTY);
    if (writer.head) screen.print(writer.head);
    const counts = await runImages(images, { ...flags, top }, context, memory, printInOrder(writer, context));
    screen.clearProgress();
    if (images.length > 1 || skipped.length > 0) {
      screen.note(`${summarize(counts)}${skipped.length > 0 ? `.${describeSkipped(skipped)}` : ''}`);
    }
    if (counts.failed > 0) process.exitCode = EXIT.failed;
  } finally {
    screen.clearProgress();
    await memory?.close();
  }
}

interface Counts {
  succeeded: number;
  failed: number;
  known: number;
  elapsedMs: number;
}

async function runImages(
  images: ImageSource[],
  flags: ClassifyFlags & { top: number },
  context: CommandContext,
  memory: Memory | undefined,
  report: (place: number, record: ImageRecord) => void,
): Promise<Counts> {
  const { screen, signal } = context;
  const beganMs = performance.now();
  const todo: { image: ImageSource; place: number }[] = [];
  images.forEach((image, place) => {
    const record = memory?.recall(image, flags.outputs === true);
    if (record) report(place, record);
    else todo.push({ image, place });
  });
  const counts: Counts = { succeeded: 0, failed: 0, known: images.length - todo.length, elapsedMs: 0 };
  const client = connectServer(context, flags.url);
  const outcomes = client.classifyEach(
    todo.map(({ image }) => image.content),
    {
      concurrency: flags.concurrency,
      topK: memory ? KEPT_LABELS : flags.top,
      priority: flags.priority.toUpperCase() as Priority,
      signal,
      ...(flags.outputs === undefined ? {} : { outputs: true }),
      ...(flags.model === undefined ? {} : { model: flags.model }),
      ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout * 1_000 }),
      ...(memory ? { idempotencyKey: (_content, index) => memory.idempotencyKey(todo[index]!.image) } : {}),
      onProgress: ({ done, failed }) => {
        if (images.length > 1) screen.showProgress({ done, failed, total: todo.length });
      },
    },
  );
  for await (const outcome of outcomes) {
    const { image, place } = todo[outcome.index]!;
    // Without a server, each of thousands of images would wait for it in vain.
    if (outcome.error && isServerGone(outcome.error)) throw outcome.error;
    const record = recordOutcome({ ...outcome, image });
    if (record.ok) counts.succeeded++;
    else counts.failed++;
    await memory?.keep(image, record);
    report(place, record);
  }
  counts.elapsedMs = performance.now() - beganMs;
  return counts;
}

function isServerGone({ code }: InferqlError): boolean {
  return code === 'UNREACHABLE' || code === 'UNAVAILABLE' || code === 'QUEUE_FULL' || code === 'BAD_RESPONSE';
}

/** Writes records in the order of the images, each as soon as all earlier ones are written. */
function printInOrder(writer: RecordWriter, { screen }: CommandContext): (place: number, record: ImageRecord) => void {
  const early = new Map<number, ImageRecord>();
  let next = 0;
  return (place, record) => {
    early.set(place, record);
    for (let due = early.get(next); due; due = early.get(next)) {
      early.delete(next++);
      screen.print(writer.write(due));
    }
  };
}

function summarize({ succeeded, failed, known, elapsedMs }: Counts): string {
  const rate = succeeded / (elapsedMs / 1_000);
  return [
    `${succeeded} classified`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(known > 0 ? [`${known} done before`] : []),
    ...(succeeded > 0 ? [`${formatDuration(elapsedMs)} (${rate.toFixed(1)}/s)`] : []),
  ].join(', ');
}
