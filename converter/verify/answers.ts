import { ModelError } from '../errors.ts';

/** What a notebook answered for one image. */
export interface ExpectedAnswer {
  file: string;
  /** One per class, in the model's order. */
  probabilities: number[];
}

/** A first line whose name is a file's is not a header. */
const FILE_NAME = /\.\w+$/;

/**
 * Reads a notebook's answers: a header line, then per image its file name and one probability per class. Of two classes, the second's is
 * enough, which is what a single sigmoid gives.
 * @param name the file, for messages
 * @throws ModelError SOURCE_INVALID that names the line and what was expected
 */
export function parseAnswers(text: string, name: string, classCount: number): ExpectedAnswer[] {
  const refuse = (line: number, what: string): never => {
    throw new ModelError('SOURCE_INVALID', `${name}, line ${line}: expected ${what}`);
  };
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const answers: ExpectedAnswer[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const [file = '', ...cells] = splitCells(line);
    if (i === 0 && !FILE_NAME.test(file)) continue;
    if (file === '') refuse(i + 1, 'the name of an image first');
    const isSecondAlone = classCount === 2 && cells.length === 1;
    if (cells.length !== classCount && !isSecondAlone) {
      refuse(i + 1, `a file name and ${classCount} probabilities, one per class, found ${cells.length} values`);
    }
    const probabilities = cells.map((cell) => (cell.trim() === '' ? Number.NaN : Number(cell)));
    const wrong = probabilities.findIndex((value) => !(value >= -1e-3 && value <= 1.001));
    if (wrong >= 0) refuse(i + 1, `probabilities from 0 to 1, found ${cells[wrong]}`);
    const [only = 0] = probabilities;
    answers.push({ file, probabilities: isSecondAlone ? [1 - only, only] : probabilities });
  }
  if (answers.length === 0) refuse(2, 'an image');
  return answers;
}

/** Cells of a line of CSV; quoted cells may contain commas, and doubled quotes. */
function splitCells(line: string): string[] {
  const cells: string[] = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return cells;
}
