/** Tables for terminals. */

/** Formats columns, as wide as necessary; numbers (`right`) are right-aligned. */
export function formatTable(header: string[], rows: string[][], right: number[] = []): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) =>
    all.reduce((most, row) => Math.max(most, [...(row[column] ?? '')].length), 0),
  );
  return all
    .map((row) =>
      row
        .map((cell, column) => {
          const padding = ' '.repeat(widths[column]! - [...cell].length);
          return right.includes(column) ? padding + cell : cell + padding;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
