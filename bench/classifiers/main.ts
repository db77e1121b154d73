/**
 * Converts the classifiers of keras.applications or torchvision.models in each form that their exporters write, compares the answers with the
 * framework's on the same pixels, and writes docs/classifiers.md.
 *
 * npm run bench -- classifiers --python PYTHON [--framework keras|torchvision] [--models A,B] [--forms A,B] [--minutes 240] [--results FILE]
 *
 * PYTHON has the packages of bench/classifiers/requirements-*.txt. A row per model and form is appended to FILE, by default
 * bench/classifiers/rows.jsonl, as it is measured, and rows that are there are not measured again, so a run can be split. models.jsonl there keeps
 * what the framework lists. `--page` only writes docs/classifiers.md from both files.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { varySamples } from '@inferql/converter/files/sample-images';
import { findImages } from '../benchmark-images.ts';
import { openFramework } from './framework.ts';
import { type Compared, measureForm } from './measure.ts';
import { listModels, readLists } from './model-lists.ts';
import { formatPage } from './page.ts';
import { readRows } from './rows.ts';

const IMAGES = 4;
// The commands of the benchmarks run in the project's folder.
const ROWS = join('bench', 'classifiers', 'rows.jsonl');
const LISTS = join('bench', 'classifiers', 'models.jsonl');
const PAGE = join('docs', 'classifiers.md');

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    framework: { type: 'string', default: 'keras' },
    models: { type: 'string', default: '' },
    forms: { type: 'string', default: '' },
    minutes: { type: 'string', default: '240' },
    results: { type: 'string', default: ROWS },
    images: { type: 'string', default: join('models', 'samples') },
    page: { type: 'boolean', default: false },
  },
});

if (!values.page) await measureCollection();
writeFileSync(PAGE, formatPage(readRows(values.results), readLists(LISTS)));

async function measureCollection(): Promise<void> {
  const rows = readRows(values.results);
  const framework = await openFramework(values.python, values.framework);
  listModels(LISTS, framework);
  const end = performance.now() + Number(values.minutes) * 60_000;
  const wanted = values.models ? values.models.split(',') : framework.models.map(({ name }) => name);
  const forms = values.forms ? values.forms.split(',') : framework.forms;
  const views = new Map<number, Uint8Array[]>();
  const work = mkdtempSync(join(tmpdir(), 'inferql-classifiers-'));
  try {
    for (const { name, size, normalization } of framework.models.filter((model) => wanted.includes(model.name))) {
      const isMeasured = (form: string) =>
        rows.some((row) => row.model === name && row.form === form && row.versions === framework.versions);
      const missing = forms.filter((form) => !isMeasured(form));
      if (missing.length === 0 || performance.now() > end) continue;
      const images = views.get(size) ?? (await preparePixels(size));
      views.set(size, images);
      const pixels = join(work, 'pixels');
      writeFileSync(pixels, Buffer.concat(images));
      const built = await framework.build(name, pixels);
      const compared = new Map<string, Compared>();
      for (const form of missing) {
        // One form at a time: the files of the largest models take gigabytes.
        const folder = join(work, form);
        mkdirSync(folder);
        const outcome =
          'error' in built
            ? { refused: `the framework does not make it: ${built.error}` }
            : await measureForm({
                exported: await framework.export(form, join(folder, 'exported')),
                folder,
                normalization,
                images,
                answers: built.answers,
                compared,
              });
        rmSync(folder, { recursive: true });
        const row = JSON.stringify({ model: name, form, versions: framework.versions, ...outcome });
        appendFileSync(values.results, `${row}\n`);
        console.log(row);
      }
    }
  } finally {
    framework.close();
    rmSync(work, { recursive: true, force: true });
  }
}

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
