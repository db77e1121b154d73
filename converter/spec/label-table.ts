/** Tables of classes, such as CSV files: a column of names and one of numbers. */

/** Column names of tables of classes, by what the column holds. */
const NAME_COLUMN = /^(class|label)?[ _-]?(names?|text|title|description)$|^(class|label|category)$/i;
const INDEX_COLUMN = /^(class|label|category)?[ _-]?(id|idx|index|number|no|nr)\.?$/i;
interface Columns {
  nameAt: number;
  indexAt: number;
  /** Between the cells. */
  separator: string;
}

/** The columns that a header names; undefined if it is not the header of a table of classes. */
export function findColumns(header: string): Columns | undefined {
  const separator = ['\t', ';'].find((one) => header.includes(one)) ?? ',';
  const columns = splitCells(header, separator);
  const nameAt = columns.findIndex((column) => NAME_COLUMN.test(column));
  const indexAt = columns.findIndex((column, i) => i !== nameAt && INDEX_COLUMN.test(column));
  return nameAt !== -1 && indexAt !== -1 ? { nameAt, indexAt, separator } : undefined;
}

/** Cells of a row, which may be quoted. An empty one counts. */
function splitCells(line: string, separator: string): string[] {
  const cells: string[] = [];
  let isQuoted = false;
  let isEmpty = true;
  let start = 0;
  for (let i = 0; i <= line.length; i++) {
    // Inside a cell that is not quoted, it is a character as any other.
    if (line[i] === '"' && (isQuoted || isEmpty)) isQuoted = !isQuoted;
    if (i < line.length && (isQuoted || line[i] !== separator)) {
      if (line[i] !== ' ') isEmpty = false;
      continue;
    }
    cells.push(unquote(line.slice(start, i).trim()).trim());
    start = i + 1;
    isEmpty = true;
  }
  return cells;
}

/** @returns undefined if the rows do not each have a name and a number that counts from 0 or 1 */
export function readTable(rows: readonly string[], { nameAt, indexAt, separator }: Columns): string[] | undefined {
  const cells = rows.filter((row) => row !== '').map((row) => splitCells(row, separator));
  const numbers = cells.map((row) => Number(row[indexAt] || Number.NaN));
  const names = cells.map((row) => row[nameAt] ?? '');
  const lowest = numbers.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const start = lowest === 1 ? 1 : 0;
  return orderNames(
    names,
    numbers.map((number) => number - start),
  );
}

export function unquote(cell: string): string {
  return /^".*"$/.test(cell) ? cell.slice(1, -1).replaceAll('""', '"') : cell;
}

/** Undefined unless each number from 0 on has one name. */
export function orderNames(names: readonly string[], numbers: readonly number[]): string[] | undefined {
  const ordered = new Map(numbers.map((number, i) => [number, names[i] ?? '']));
  const list = Array.from({ length: names.length }, (_, i) => ordered.get(i));
  return list.length > 0 && list.every((name) => name !== undefined && name !== '') ? (list as string[]) : undefined;
}
