import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Section } from './scenario.ts';
import { drawChart } from './svg.ts';

/** A machine of whose CPU more is in use is busy with something else. */
const BUSY = 0.15;

export interface ReportPlaces {
  /** Folder of the JSON file. */
  jsonDir: string;
  /** Folder of the pictures. */
  imagesDir: string;
}

/** A table in Markdown, aligned for the terminal. */
export function formatTable(columns: string[], rows: (string | number)[][]): string {
  const texts = [columns, ...rows.map((row) => row.map(String))];
  const widths = columns.map((_, column) => Math.max(3, ...texts.map((row) => row[column]!.length)));
  const line = (row: string[]) => `| ${row.map((text, column) => text.padEnd(widths[column]!)).join(' | ')} |`;
  return [
    line(texts[0]!),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...texts.slice(1).map(line),
  ].join('\n');
}

export function formatSection({ title, how, columns, rows, goals }: Section): string {
  const lines = [`\n## ${title}\n\n${how}\n`, formatTable(columns, rows)];
  if (goals) lines.push('');
  for (const { goal, figure, met } of goals ?? []) {
    lines.push(`- ${met ? 'reached' : 'NOT reached'}: ${goal}: **${figure}**`);
  }
  return lines.join('\n');
}

function describeMachine() {
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
  };
}

/** What was measured, such as `InferQL 0.1.0, commit 1a2b3c4 with changes`. */
export function describeVersion(): string {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  try {
    const commit = git('rev-parse', '--short', 'HEAD');
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', '*.ts', '*.lua', 'package-lock.json');
    return `InferQL ${version}, commit ${commit}${changed && ' with changes'}`;
  } catch {
    // Not a clone.
    return `InferQL ${version}`;
  }
}

/** How busy the machine is with other work: the share of its CPU that is in use, over a second. Call it before the measurements begin. */
export async function readBusyness(): Promise<number> {
  const read = () => {
    const times = cpus().map((core) => core.times);
    const sum = (pick: (core: (typeof times)[number]) => number) =>
      times.reduce((total, core) => total + pick(core), 0);
    return { idle: sum(({ idle }) => idle), all: sum((core) => Object.values(core).reduce((a, b) => a + b, 0)) };
  };
  const before = read();
  await delay(1_000);
  const after = read();
  return 1 - (after.idle - before.idle) / (after.all - before.all);
}

/** Writes the JSON file and the pictures. Returns the JSON file's path. */
export function writeReport(
  sections: Section[],
  { jsonDir, imagesDir }: ReportPlaces,
  options: Record<string, unknown>,
): string {
  mkdirSync(jsonDir, { recursive: true });
  const date = new Date().toISOString();
  const path = join(jsonDir, `${date.replaceAll(':', '-').slice(0, 19)}.json`);
  const kept = sections.map(({ charts: _, ...section }) => section);
  writeFileSync(
    path,
    `${JSON.stringify({ date, version: describeVersion(), machine: describeMachine(), options, sections: kept }, null, 2)}\n`,
  );
  const charts = sections.flatMap((section) => section.charts ?? []);
  if (charts.length > 0) mkdirSync(imagesDir, { recursive: true });
  for (const { file, chart } of charts) writeFileSync(join(imagesDir, file), drawChart(chart));
  return path;
}

/** A warning for the page if the machine was busy with something else. */
export function describeBusyness(busyness: number): string[] {
  if (busyness <= BUSY) return [];
  return [
    '',
    `The machine was not idle: ${(100 * busyness).toFixed(0)}% of its CPU was in use before the start. Rely on the ratios only, and with care.`,
  ];
}

/** The same as a page of the documentation. */
export function formatPage(sections: Section[], { quick, busyness }: { quick: boolean; busyness: number }): string {
  const { cpu, cores, node, platform } = describeMachine();
  const pictures = sections.flatMap((section) => section.charts ?? []);
  return [
    '# Measurements',
    '',
    `Measured on ${new Date().toISOString().slice(0, 10)}, ${describeVersion()}, by \`npm run bench -- ${quick ? '--quick ' : ''}--page\`: ${cores} x ${cpu}, ${platform}, Node ${node}. [performance.md](performance.md) explains the method.`,
    ...describeBusyness(busyness),
    ...sections.map(formatSection),
    '',
    ...pictures.map(({ file, chart }) => `![${chart.title}](images/${file})`),
    '',
  ].join('\n');
}
