/** Labels in text files: a name per line, numbered lines, and tables. */
import { findColumns, orderNames, readTable, unquote } from './label-table.ts';

/** WordNet's number of a class of ImageNet, in front of its names. */
const SYNSET = /^n\d{8}\s+(\S.*)$/;

/**
 * Reads labels from lines.
 * @returns undefined if there are none, or if a table's rows do not each have a name and a number that counts from 0 or 1
 */
export function parseLabelText(text: string): string[] | undefined {
  const lines = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line) => line.trim());
  while (lines.at(-1) === '') lines.pop();
  const [header = '', ...rows] = lines;
  if (lines.length === 0) return undefined;
  const columns = findColumns(header);
  if (columns) return readTable(rows, columns);
  return withoutNumbers(lines) ?? withoutLastNumbers(lines) ?? withoutSynsets(lines) ?? lines;
}

/** Names behind their index, as Teachable Machine's labels.txt has them; undefined if not every line has its own. */
function withoutNumbers(lines: readonly string[]): string[] | undefined {
  const rows = lines.map((line) => /^(\d+)(?:\s*[,:;\t]|\s)/.exec(line));
  const names = lines.map((line, i) => unquote(line.slice(rows[i]?.[0].length ?? 0).trimStart()));
  const isNumbered = rows.length > 1 && rows.every((row, i) => row && Number(row[1]) === i && names[i] !== '');
  return isNumbered ? names : undefined;
}

/** Names in front of their index, such as `cat,0`. */
function withoutLastNumbers(lines: readonly string[]): string[] | undefined {
  if (lines.length < 2) return undefined;
  const rows = lines.map(splitLastNumber);
  return orderNames(
    rows.map(({ name }) => unquote(name)),
    rows.map(({ number }) => number),
  );
}

/** Without a regular expression: one that begins anywhere takes quadratic time for long lines. */
function splitLastNumber(line: string): { name: string; number: number } {
  let end = line.length;
  while (end > 0 && line[end - 1]! >= '0' && line[end - 1]! <= '9') end--;
  const digits = line.slice(end);
  const before = line.slice(0, end);
  // A tab is white space, too.
  const head = before.trimEnd();
  const name = /[,;:]$/.test(head) ? head.slice(0, -1).trimEnd() : head;
  const isSeparated = name.length < head.length || before.includes('\t', head.length);
  return { name, number: isSeparated && digits !== '' ? Number(digits) : Number.NaN };
}

function withoutSynsets(lines: readonly string[]): string[] | undefined {
  const rows = lines.map((line) => SYNSET.exec(line)?.[1]);
  return rows.every((row) => row !== undefined) ? rows : undefined;
}
