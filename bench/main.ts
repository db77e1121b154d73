/** `npm run bench`: measures the built system in dist/. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { prepareModel } from '../models/prepare.ts';
import { prepareImage } from '../server/image.ts';
import { startAnswerer } from './ask.ts';
import type { Bench, Scenario, Section } from './bench.ts';
import type { LoadPlan, LoadResult } from './load/plan.ts';
import type { RawAnswer, RawQuestion } from './raw/plan.ts';
import { formatSection, writeReport } from './report.ts';
import { measureCpu } from './scenarios/cpu.ts';
import { measureEndToEnd } from './scenarios/end-to-end.ts';
import { measureEvents } from './scenarios/events.ts';
import { measureNull } from './scenarios/null.ts';
import { measureOverload } from './scenarios/overload.ts';
import { measureScale } from './scenarios/scale.ts';
import { measureStart } from './scenarios/start.ts';

const SCENARIOS: Record<string, Scenario> = {
  'end-to-end': measureEndToEnd,
  null: measureNull,
  cpu: measureCpu,
  events: measureEvents,
  scale: measureScale,
  overload: measureOverload,
  start: measureStart,
};
const RAW_IMAGES = 48;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(SCENARIOS).join(',') },
    photographs: { type: 'string', default: '' },
    images: { type: 'string', default: 'docs/images' },
    help: { type: 'boolean', default: false },
  },
});
const wanted = values.only.split(',');
if (values.help || wanted.some((name) => !(name in SCENARIOS))) {
  console.log(`npm run bench -- [--quick] [--only ${Object.keys(SCENARIOS).join(',')}] [--photographs folder] [--images folder]
  --quick        about three minutes instead of twenty
  --photographs  a folder of JPEG or PNG files; else ../shared/images where it is, else models/samples
  --images       where the pictures go (docs/images)`);
  process.exit(values.help ? 0 : 2);
}

function findPhotographs(): string[] {
  const folders = values.photographs ? [values.photographs] : ['../shared/images', 'models/samples'];
  for (const folder of folders) {
    try {
      const names = readdirSync(folder).filter((name) => /\.(jpe?g|png)$/i.test(name));
      if (names.length > 0) return names.sort().map((name) => resolve(folder, name));
    } catch {}
  }
  throw new Error(`no photographs in ${folders.join(' or ')}`);
}

const photographs = findPhotographs();
const stateDir = resolve('.inferql');
mkdirSync(join(stateDir, 'bench'), { recursive: true });
const dir = mkdtempSync(join(stateDir, 'bench', 'run-'));
const say = (line: string) => console.log(`  ${line}`);
const model = await prepareModel({ modelDir: 'models/resnet50', stateDir });
if (!model.onnxPath) throw new Error(`no ONNX file: ${model.onnxUnavailable}`);

const { width, height, channels, shortSide, kernel } = model.spec.input;
const input = { width, height, channels, kernel, ...(shortSide === undefined ? {} : { shortSide }) };
const { readFile } = await import('node:fs/promises');
const prepared = await Promise.all(
  Array.from({ length: RAW_IMAGES }, async (_, index) =>
    prepareImage(await readFile(photographs[index % photographs.length]!), input, 64e6),
  ),
);
const pixelsPath = join(dir, 'pixels');
writeFileSync(pixelsPath, Buffer.concat(prepared));

const raw = startAnswerer<RawQuestion, RawAnswer>('raw/main.js');
const load = startAnswerer<LoadPlan, LoadResult>('load/main.js');
await raw.ask({
  type: 'load',
  onnxPath: model.onnxPath,
  threads: availableParallelism(),
  pixelsPath,
  size: [height, width, channels],
});
await raw.ask({ type: 'run', batch: 8, durationMs: 2_000 });

const bench: Bench = { quick: values.quick, photographs, model, raw, load, dir, say };
const sections: Section[] = [];
try {
  for (const name of wanted) {
    console.log(`\n${name} …`);
    const found = await SCENARIOS[name]!(bench);
    sections.push(...found);
    for (const section of found) console.log(formatSection(section));
  }
  const places = { jsonDir: join(stateDir, 'bench'), imagesDir: values.images };
  const path = writeReport(sections, places, { quick: values.quick, photographs: photographs.length });
  console.log(`\n${path}`);
} finally {
  await raw.close();
  await load.close();
  rmSync(dir, { recursive: true, force: true });
}
