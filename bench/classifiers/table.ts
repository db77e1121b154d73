import { z } from 'zod';

const measuredSchema = z.object({
  engine: z.string(),
  /** The largest difference of a probability. */
  difference: z.number(),
  /** Images whose best label is the framework's. */
  agreeing: z.int(),
  images: z.int(),
  /** Images per second of CPU time, on one thread. */
  perSecond: z.number(),
  /** Whether `add` guesses the normalization that the family is trained with. */
  isGuessRight: z.boolean(),
});

const refusedSchema = z.object({ refused: z.string() });

export const rowSchema = z.intersection(
  z.object({ model: z.string(), form: z.string(), versions: z.string() }),
  z.union([measuredSchema, refusedSchema]),
);

export type Measured = z.infer<typeof measuredSchema>;
export type Refused = z.infer<typeof refusedSchema>;
export type Row = z.infer<typeof rowSchema>;

/** A table per framework: a row per model, and two columns per form. */
export function formatTables(rows: readonly Row[]): string {
  const versions = [...new Set(rows.map((row) => row.versions))];
  return versions
    .map((version) =>
      formatTable(
        version,
        rows.filter((row) => row.versions === version),
      ),
    )
    .join('\n\n');
}

function formatTable(versions: string, rows: readonly Row[]): string {
  const forms = [...new Set(rows.map((row) => row.form))];
  const models = [...new Set(rows.map((row) => row.model))];
  const lines = models.map((model) => {
    const cells = forms.map((form) => describe(rows.find((row) => row.model === model && row.form === form)));
    return `| ${model} | ${cells.join(' | ')} |`;
  });
  const head = [`| ${versions} | ${forms.join(' | ')} |`, `|---|${forms.map(() => '---|').join('')}`];
  const notes = [...new Set(rows.flatMap((row) => ('refused' in row ? [row.refused] : [])))];
  return [
    ...head,
    ...lines,
    ...(notes.length > 0 ? ['', 'Refused:', '', ...notes.map((note) => `- ${note}`)] : []),
  ].join('\n');
}

/** Such as `3.2e-6, 4/4, 12/s`. */
function describe(row: Row | undefined): string {
  if (!row) return '–';
  if ('refused' in row) return 'refused';
  const rate = row.perSecond >= 10 ? row.perSecond.toFixed(0) : row.perSecond.toPrecision(2);
  return `${row.difference.toExponential(1)}, ${row.agreeing}/${row.images}, ${rate}/s`;
}
