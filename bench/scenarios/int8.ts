import { join } from 'node:path';
import { writeInt8Model } from '../int8-model.ts';
import type { Bench, Section } from '../scenario.ts';
import { median } from '../stats.ts';
import { startSystem } from '../system.ts';
import { warmUpServers } from '../warm-up.ts';

/** The int8 version of the same model end to end, against the bare float32 engine in the same run. */
export async function measureInt8({ quick, load, images, model, baseline, dir }: Bench): Promise<Section[]> {
  const modelsDir = join(dir, 'models');
  const name = writeInt8Model(model.name, modelsDir);
  const system = await startSystem({ modelsDir, models: [name] });
  try {
    const plan = { urls: system.urls, request: 'graphql' as const, model: name, images, load: { clients: 32 } };
    await warmUpServers(system, load, images);
    const rounds: { perSecond: number; baselinePerSecond: number }[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++) {
      const rawMs = quick ? 2_500 : 6_000;
      const before = await baseline.call({ type: 'run', batch: 8, durationMs: rawMs });
      const result = await load.call({ ...plan, warmupMs: 3_000, durationMs: quick ? 8_000 : 20_000 });
      const after = await baseline.call({ type: 'run', batch: 8, durationMs: rawMs });
      rounds.push({
        perSecond: result.answeredPerSecond,
        baselinePerSecond: (before.imagesPerSecond + after.imagesPerSecond) / 2,
      });
    }
    const times = median(rounds.map(({ perSecond, baselinePerSecond }) => perSecond / baselinePerSecond));
    return [
      {
        title: 'End to end, int8',
        how: `${name} at 32 clients, interleaved with the bare float32 engine at batch 8.`,
        columns: ['images/s', 'bare float32 images/s', 'times bare float32'],
        rows: [
          [
            median(rounds.map(({ perSecond }) => perSecond)).toFixed(1),
            median(rounds.map(({ baselinePerSecond }) => baselinePerSecond)).toFixed(1),
            times.toFixed(2),
          ],
        ],
        data: rounds,
        goals: [
          { goal: 'int8 at 32 clients / bare float32 engine >= 1.7', figure: times.toFixed(2), met: times >= 1.7 },
        ],
      },
    ];
  } finally {
    await system.stop();
  }
}
