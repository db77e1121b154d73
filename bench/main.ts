/** `npm run bench`: measures the built system in dist/. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepareModel } from '@inferql/converter/prepared-model';
import type { BaselineRequest, BaselineResponse } from './baseline/plan.ts';
import { findImages, preparePixels } from './benchmark-images.ts';
import { startRpcChild } from './child-rpc.ts';
import { exitOnSignals } from './exit-on-signals.ts';
import type { LoadPlan, LoadResult } from './load/plan.ts';
import { formatPage, formatSection, readBusyness, writeReport } from './report.ts';
import { type Bench, type Scenario, type Section, STATE_DIR } from './scenario.ts';
import { measureCpu } from './scenarios/cpu.ts';
import { measureEndToEnd } from './scenarios/end-to-end.ts';
import { measureEvents } from './scenarios/events.ts';
import { measureHeatmap } from './scenarios/heatmap.ts';
import { measureInt8 } from './scenarios/int8.ts';
import { measureNoopEngine } from './scenarios/no-op-engine.ts';
import { measureOverload } from './scenarios/overload.ts';
import { measureScale } from './scenarios/scale.ts';
import { measureStart } from './scenarios/start.ts';

const SCENARIOS: Record<string, Scenario> = {
  'end-to-end': measureEndToEnd,
  int8: measureInt8,
  heatmap: measureHeatmap,
  'no-op-engine': measureNoopEngine,
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
    clients: { type: 'string', default: '1,8,32,128' },
    images: { type: 'string', default: '' },
    charts: { type: 'string', default: 'docs/images' },
    page: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const wanted = values.only.split(',');
const clients = values.clients.split(',').map(Number);
if (values.help || wanted.some((name) => !(name in SCENARIOS)) || !clients.every((count) => count >= 1)) {
  console.log(`npm run bench -- [--quick] [--only ${Object.keys(SCENARIOS).join(',')}] [--clients 1,8,32,128] [--images folder] [--charts folder]
  --quick    run shorter rounds, about twelve minutes in all
  --only     run only these scenarios
  --clients  numbers of concurrent clients in the scenario end-to-end
  --images   folder of JPEG or PNG files (default: ../shared/images if it exists, else bench/samples)
  --charts   folder for the charts (default: docs/images)
  --page     also write docs/measurements.md

Other benchmarks: npm run bench -- peers | tenants | classifiers | fuzz-images | fuzz-requests | soak`);
  process.exit(values.help ? 0 : 2);
}

exitOnSignals();
const busyness = await readBusyness();
const images = findImages(values.images);
mkdirSync(join(STATE_DIR, 'bench'), { recursive: true });
const dir = mkdtempSync(join(STATE_DIR, 'bench', 'run-'));
const print = (line: string) => console.log(`  ${line}`);
const model = await prepareModel({ modelDir: 'models/resnet50', stateDir: STATE_DIR });
if (!model.onnxPath) throw new Error(`no ONNX file: ${model.onnxUnavailable}`);

const { pixelsPath, size } = await preparePixels(model.spec.input, images, dir);
const baseline = startRpcChild<BaselineRequest, BaselineResponse>('baseline/main.js');
const load = startRpcChild<LoadPlan, LoadResult>('load/main.js');
await baseline.call({
  type: 'load',
  onnxPath: model.onnxPath,
  threads: availableParallelism(),
  pixelsPath,
  size,
});
await baseline.call({ type: 'run', batch: 8, durationMs: 2_000 });

const bench: Bench = { quick: values.quick, images, clients, model, baseline, load, dir, print };
const sections: Section[] = [];
try {
  for (const name of wanted) {
    console.log(`\n${name} …`);
    const found = await SCENARIOS[name]!(bench);
    sections.push(...found);
    for (const section of found) console.log(formatSection(section));
  }
  const places = { jsonDir: join(STATE_DIR, 'bench'), imagesDir: values.charts };
  const path = writeReport(sections, places, { quick: values.quick, images: images.length, busyness });
  if (values.page) writeFileSync('docs/measurements.md', formatPage(sections, { quick: values.quick, busyness }));
  console.log(`\n${path}`);
} finally {
  await baseline.close();
  await load.close();
  rmSync(dir, { recursive: true, force: true });
}
