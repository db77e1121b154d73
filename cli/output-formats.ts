import type { Embedding, HeadOf, Label, Outcome, Tensor } from '@inferql/client';
import type { ImageSource } from './image-sources.ts';
import { formatBar, formatDuration, formatPercent, safeJson, safeText, shortenPath } from './terminal-text.ts';

/** What a model gives besides its labels. */
export interface RecordedOutputs {
  heads: HeadOf[];
  embeddings: Embedding[];
  tensors: Tensor[];
  extra: unknown;
}

/** The command's final record of an image. */
export type ImageRecord =
  | {
      file: string;
      ok: true;
      id: string;
      model: string;
      modelVersion: string;
      labels: Label[];
      /** If they were asked for. */
      outputs?: RecordedOutputs | undefined;
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
  const { labels, heads = [], embeddings = [], tensors = [], extra = null } = result;
  // With `outputs` in the request, lists are there even if they are empty.
  const outputs = result.heads === undefined ? {} : { outputs: { heads, embeddings, tensors, extra } };
  return { file: image.name, ok: true, id, model, modelVersion, labels, ...outputs, cached, batchSize, timings };
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
        write: (record) => safeJson(record.ok ? cutLabels(record, top) : record),
      };
    case 'csv':
      return { head: 'file,rank,label,index,score,error', write: (record) => formatCsv(record, top, isTerminal) };
    case 'table':
      return { head: undefined, write: names.length === 1 ? writeAlone(top) : writeRows(names, top) };
    default:
      return format satisfies never;
  }
}

/** With a state file, more labels are requested than are shown. */
function cutLabels(record: ImageRecord & { ok: true }, top: number): ImageRecord {
  const { outputs } = record;
  const heads = outputs?.heads.map((head) => ({ ...head, labels: head.labels.slice(0, top) })) ?? [];
  return { ...record, labels: record.labels.slice(0, top), ...(outputs && { outputs: { ...outputs, heads } }) };
}

/** A line per output. */
function describeOutputs({ heads, embeddings, tensors, extra }: RecordedOutputs, top: number): string[] {
  const listLabels = (labels: readonly Label[]) =>
    labels
      .slice(0, top)
      .map(({ name, score }) => `${safeText(name)} ${formatPercent(score)}`)
      .join(', ') || 'no label above the threshold';
  return [
    ...heads.map(({ name, labels }) => `${safeText(name)}: ${listLabels(labels)}`),
    ...embeddings.map(({ name, size }) => `${safeText(name)}: ${size} numbers`),
    ...tensors.map(({ name, shape, dtype }) => `${safeText(name)}: ${shape.join(' x ') || 1} ${dtype.toLowerCase()}`),
    ...(extra === null ? [] : [`extra: ${safeJson(extra)}`]),
  ];
}

const LONGEST_NAME = 48;

function writeAlone(top: number): RecordWriter['write'] {
  return (record) => {
    if (!record.ok) return `${safeText(record.file)}: ${describeError(record.error)}`;
    const labels = record.labels.slice(0, top).map(({ name, score }) => ({ name: safeText(name), score }));
    const width = Math.max(...labels.map(({ name }) => [...name].length));
    const lines = labels.map(
      ({ name, score }) =>
        `  ${name}${' '.repeat(width - [...name].length)}  ${formatPercent(score).padStart(6)}  ${formatBar(score)}`,
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
      ...(record.outputs ? describeOutputs(record.outputs, top) : []).map((line) => `  ${line}`),
      `  ${safeText(record.model)}: ${parts.join(', ')}`,
    ].join('\n');
  };
}

function writeRows(names: string[], top: number): RecordWriter['write'] {
  // Not spread into Math.max, which takes some 100,000 arguments.
  const longest = names.reduce((most, name) => Math.max(most, [...safeText(name)].length), 0);
  const width = Math.min(LONGEST_NAME, longest);
  return (record) => {
    const name = shortenPath(safeText(record.file), width);
    const column = name + ' '.repeat(width - [...name].length);
    if (!record.ok) return `${column}  ${describeError(record.error)}`;
    const lines = [
      ...record.labels.slice(0, top).map(({ name, score }) => `${formatPercent(score).padStart(6)}  ${safeText(name)}`),
      ...(record.outputs ? describeOutputs(record.outputs, top) : []),
    ];
    if (lines.length === 0) lines.push('no labels');
    return lines.map((line, rank) => `${rank === 0 ? column : ' '.repeat(width)}  ${line}`).join('\n');
  };
}

function describeError({ code, message }: { code: string; message: string }): string {
  return `${code}: ${safeText(message)}`;
}

function formatCsv(record: ImageRecord, top: number, isTerminal: boolean): string {
  const rows = record.ok
    ? record.labels.slice(0, top).map(({ name, index, score }, rank) => [record.file, rank + 1, name, index, score, ''])
    : [[record.file, '', '', '', '', record.error.code]];
  // A model may have no labels; its images have a line, too.
  if (rows.length === 0) rows.push([record.file, '', '', '', '', '']);
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
