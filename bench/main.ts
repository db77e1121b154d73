/** `npm run bench`: measures the built system in dist/. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepareModel } from '@inferql/converter/prepare';
import { startAnswerer } from './child-rpc.ts';
import { type Bench, type Scenario, type Section, STATE_DIR } from './scenario.ts';
import type { LoadPlan, LoadResult } from './load/plan.ts';
import { findPhotographs, preparePixels } from './images.ts';
import type { RawAnswer, RawQuestion } from './baseline/plan.ts';
import { formatPage, formatSection, readBusyness, writeReport } from './report.ts';
import { measureCpu } from './scenarios/cpu.ts';
import { measureEndToEnd } from './scenarios/end-to-end.ts';
import { measureEvents } from './scenarios/events.ts';
import { measureHeatmap } from './scenarios/heatmap.ts';
import { measureInt8 } from './scenarios/int8.ts';
import { measureNull } from './scenarios/no-op-engine.ts';
import { measureOverload } from './scenarios/overload.ts';
import { measureScale } from './scenarios/scale.ts';
import { measureStart } from './scenarios/start.ts';

const SCENARIOS: Record<string, Scenario> = {
  'end-to-end': measureEndToEnd,
  int8: measureInt8,
  heatmap: measureHeatmap,
  null: measureNull,
  cpu: measureCpu,
  events: measureEvents,
  scale: measureScale,
  overload: measureOverload,
  start: measureStart,
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(SCENARIOS).join(',') },
    photographs: { type: 'string', default: '' },
    images: { type: 'string', default: 'docs/images' },
    page: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const wanted = values.only.split(',');
if (values.help || wanted.some((name) => !(name in SCENARIOS))) {
  console.log(`npm run bench -- [--quick] [--only ${Object.keys(SCENARIOS).join(',')}] [--photographs folder] [--images folder]
  --quick        shorter rounds, about twelve minutes
  --photographs  a folder of JPEG or PNG files; else ../shared/images where it is, else models/samples
  --images       where the pictures go (docs/images)
  --page         write docs/measurements.md, too`);
  process.exit(values.help ? 0 : 2);
}

const busyness = readBusyness();
const photographs = findPhotographs(values.photographs);
mkdirSync(join(STATE_DIR, 'bench'), { recursive: true });
const dir = mkdtempSync(join(STATE_DIR, 'bench', 'run-'));
const say = (line: string) => console.log(`  ${line}`);
const model = await prepareModel({ modelDir: 'models/resnet50', stateDir: STATE_DIR });
if (!model.onnxPath) throw new Error(`no ONNX file: ${model.onnxUnavailable}`);

const { pixelsPath, size } = await preparePixels(model.spec.input, photographs, dir);
const raw = startAnswerer<RawQuestion, RawAnswer>('raw/main.js');
const load = startAnswerer<LoadPlan, LoadResult>('load/main.js');
await raw.ask({
  type: 'load',
  onnxPath: model.onnxPath,
  threads: availableParallelism(),
  pixelsPath,
  size,
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
  const places = { jsonDir: join(STATE_DIR, 'bench'), imagesDir: values.images };
  const path = writeReport(sections, places, { quick: values.quick, photographs: photographs.length, busyness });
  if (values.page) writeFileSync('docs/measurements.md', formatPage(sections, { quick: values.quick, busyness }));
  console.log(`\n${path}`);
} finally {
  await raw.close();
  await load.close();
  rmSync(dir, { recursive: true, force: true });
}
