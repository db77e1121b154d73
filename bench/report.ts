import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Section } from './bench.ts';
import { drawChart } from './svg.ts';

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
  for (const { goal, figure, met } of goals ?? []) lines.push(`${met ? 'reached' : 'NOT reached'}: ${goal}: ${figure}`);
  return lines.join('\n');
}

/** Writes the JSON file and the pictures; the JSON file's path. */
export function writeReport(
  sections: Section[],
  { jsonDir, imagesDir }: ReportPlaces,
  options: Record<string, unknown>,
): string {
  mkdirSync(jsonDir, { recursive: true });
  const date = new Date().toISOString();
  const path = join(jsonDir, `${date.replaceAll(':', '-').slice(0, 19)}.json`);
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
  };
  const kept = sections.map(({ charts: _, ...section }) => section);
  writeFileSync(path, `${JSON.stringify({ date, machine, options, sections: kept }, null, 2)}\n`);
  const charts = sections.flatMap((section) => section.charts ?? []);
  if (charts.length > 0) mkdirSync(imagesDir, { recursive: true });
  for (const { file, chart } of charts) writeFileSync(join(imagesDir, file), drawChart(chart));
  return path;
}
