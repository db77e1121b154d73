import type { Label, Outcome } from '@inferql/client';
import type { ImageSource } from './images.ts';
import { formatBar, formatDuration, formatPercent, safeJson, safeText, shortenPath } from './text.ts';

/** The command's final record of an image. */
export type ImageRecord =
  | {
      file: string;
      ok: true;
      id: string;
      model: string;
      modelVersion: string;
      labels: Label[];
      cached: boolean;
      batchSize: number | null;
      timings: { queueMs: number | null; inferenceMs: number | null; totalMs: number | null } | null;
    }
  | { file: string; ok: false; error: { code: string; message: string } };

export type Format = 'table' | 'json' | 'csv';

/** How results are written: a header, if the format has one, and the lines of one image. */
export interface RecordWriter {
  head: string | undefined;
  write(record: ImageRecord): string;
}

export function recordOutcome({ image, prediction, error }: Outcome<ImageSource>): ImageRecord {
  if (error) return { file: image.name, ok: false, error: { code: error.code, message: error.message } };
  const { id, model, modelVersion, result, cached, batchSize, timings } = prediction;
  return { file: image.name, ok: true, id, model, modelVersion, labels: result.labels, cached, batchSize, timings };
}

/**
 * @param names all files, for the width of their column
 * @param isTerminal escape control characters, which a terminal would interpret
 */
export function createWriter(format: Format, names: string[], top: number, isTerminal: boolean): RecordWriter {
  switch (format) {
    case 'json':
      return {
        head: undefined,
        write: (record) => safeJson(record.ok ? { ...record, labels: record.labels.slice(0, top) } : record),
      };
    case 'csv':
      return { head: 'file,rank,label,index,score,error', write: (record) => formatCsv(record, top, isTerminal) };
    case 'table':
      return { head: undefined, write: names.length === 1 ? writeAlone(top) : writeRows(names, top) };
    default:
      return format satisfies never;
  }
}

const BAR_WIDTH = 24;
const LONGEST_NAME = 48;

function writeAlone(top: number): RecordWriter['write'] {
  return (record) => {
    if (!record.ok) return `${safeText(record.file)}: ${describeError(record.error)}`;
    const labels = record.labels.slice(0, top).map(({ name, score }) => ({ name: safeText(name), score }));
    const width = Math.max(...labels.map(({ name }) => [...name].length));
    const lines = labels.map(
      ({ name, score }) =>
        `  ${name}${' '.repeat(width - [...name].length)}  ${formatPercent(score).padStart(6)}  ${formatBar(score, BAR_WIDTH)}`,
    );
    const { queueMs, inferenceMs, totalMs } = record.timings ?? { queueMs: null, inferenceMs: null, totalMs: null };
    const parts = [
      totalMs === null ? undefined : formatDuration(totalMs),
      queueMs === null ? undefined : `waited ${formatDuration(queueMs)}`,
      // From the run that computed a shared or cached result; this image was not part of it.
      inferenceMs === null || record.cached ? undefined : `model ${formatDuration(inferenceMs)}`,
      record.batchSize === null || record.cached ? undefined : `batch of ${record.batchSize}`,
      record.cached ? 'shared or cached' : undefined,
    ].filter((part) => part !== undefined);
    return [
      safeText(record.file),
      ...lines.map((line) => line.trimEnd()),
      `  ${safeText(record.model)}: ${parts.join(', ')}`,
    ].join('\n');
  };
}

function writeRows(names: string[], top: number): RecordWriter['write'] {
  const width = Math.min(LONGEST_NAME, Math.max(...names.map((name) => [...safeText(name)].length)));
  return (record) => {
    const name = shortenPath(safeText(record.file), width);
    const column = name + ' '.repeat(width - [...name].length);
    if (!record.ok) return `${column}  ${describeError(record.error)}`;
    return record.labels
      .slice(0, top)
      .map(
        (label, rank) =>
          `${rank === 0 ? column : ' '.repeat(width)}  ${formatPercent(label.score).padStart(6)}  ${safeText(label.name)}`,
      )
      .join('\n');
  };
}

function describeError({ code, message }: { code: string; message: string }): string {
  return `${code}: ${safeText(message)}`;
}

function formatCsv(record: ImageRecord, top: number, isTerminal: boolean): string {
  const rows = record.ok
    ? record.labels.slice(0, top).map(({ name, index, score }, rank) => [record.file, rank + 1, name, index, score, ''])
    : [[record.file, '', '', '', '', record.error.code]];
  return rows
    .map((row) =>
      row
        .map((cell) => {
          const text = isTerminal ? safeText(String(cell)) : String(cell);
          return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
        })
        .join(','),
    )
    .join('\n');
}
