/**
 * Converts the classifiers of keras.applications or torchvision.models in each form that their exporters write, compares the answers with the
 * framework's on the same pixels, and prints the table of docs/classifiers.md.
 *
 * npm run bench -- classifiers --python PYTHON [--framework keras|torchvision] [--models A,B] [--forms A,B] [--minutes 15] [--results FILE]
 *
 * PYTHON has the packages of bench/classifiers/requirements-*.txt. A row per model and form is appended to FILE as it is measured, and rows that
 * are there are not measured again, so a run can be split. `--table` prints the tables of FILE and measures nothing.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { varySamples } from '@inferql/converter/sample-images';
import { findImages } from '../images.ts';
import { openFramework } from './framework.ts';
import { measureForm } from './measure.ts';
import { formatTables, type Row, rowSchema } from './table.ts';

const IMAGES = 4;

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    framework: { type: 'string', default: 'keras' },
    models: { type: 'string', default: '' },
    forms: { type: 'string', default: '' },
    minutes: { type: 'string', default: '240' },
    results: { type: 'string', default: join(tmpdir(), 'inferql-classifiers.jsonl') },
    images: { type: 'string', default: 'models/samples' },
    table: { type: 'boolean', default: false },
  },
});

const rows: Row[] = existsSync(values.results)
  ? readFileSync(values.results, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => rowSchema.parse(JSON.parse(line)))
  : [];
if (values.table) {
  console.log(formatTables(rows));
  process.exit(0);
}

// The commands of the benchmarks run in the project's folder.
const script = join('bench', 'classifiers', `${values.framework}_models.py`);
const framework = await openFramework(values.python, script);
const end = performance.now() + Number(values.minutes) * 60_000;
const wanted = values.models ? values.models.split(',') : framework.models.map(({ name }) => name);
const forms = values.forms ? values.forms.split(',') : framework.forms;
const work = mkdtempSync(join(tmpdir(), 'inferql-classifiers-'));
try {
  for (const { name, size, normalization } of framework.models.filter((model) => wanted.includes(model.name))) {
    const isMeasured = (form: string) =>
      rows.some((row) => row.model === name && row.form === form && row.versions === framework.versions);
    const missing = forms.filter((form) => !isMeasured(form));
    if (missing.length === 0 || performance.now() > end) continue;
    const folder = join(work, name);
    mkdirSync(folder);
    const images = await preparePixels(size);
    const pixels = join(folder, 'pixels');
    writeFileSync(pixels, Buffer.concat(images));
    const made = await framework.make({ name, pixels, out: folder, forms: missing });
    for (const form of missing) {
      const outcome =
        'error' in made
          ? { refused: `not made: ${made.error}` }
          : await measureForm({
              exported: made.forms[form] ?? { error: 'not made' },
              folder,
              form,
              normalization,
              images,
              answers: made.answers,
            });
      const row = { model: name, form, versions: framework.versions, ...outcome };
      rows.push(row);
      appendFileSync(values.results, `${JSON.stringify(row)}\n`);
      console.log(JSON.stringify(row));
    }
    rmSync(folder, { recursive: true });
  }
} finally {
  framework.close();
  rmSync(work, { recursive: true, force: true });
}
console.log(formatTables(rows));

/** Views of the samples, all different. */
async function preparePixels(size: number): Promise<Uint8Array[]> {
  const input = { width: size, height: size, channels: 3 as const, kernel: 'linear' as const };
  const images: Uint8Array[] = [];
  // The first views of each sample, so that images differ much.
  for (const file of findImages(values.images)) {
    let taken = 0;
    for await (const view of varySamples([file], input, 7)) {
      images.push(view);
      if (++taken === 2) break;
    }
  }
  return images.slice(0, IMAGES);
}
