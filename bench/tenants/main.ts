/** `npm run bench -- tenants`: the effect of fair shares, and their cost. */
import { parseArgs } from 'node:util';
import { exitOnSignals } from '../exit-on-signals.ts';
import { formatSection, readBusyness } from '../report.ts';
import type { Section } from '../scenario.ts';
import { startSystem } from '../system.ts';
import { measureAuthentication } from './authentication.ts';
import { by } from './clients.ts';
import { measureCost } from './cost.ts';
import { fairnessIndex, measureBehindFlood, measureShares, p95 } from './shares.ts';

const MAX_BATCH = 8;
/** A run takes 40 ms and 10 ms more per image. */
const SLOW = {
  name: 'slow',
  script: { waitMs: 40, waitMsPerImage: 10 },
  batching: { maxBatchSize: MAX_BATCH },
  queue: { maxQueueSize: 5_000 },
};
const BATCH_MS = SLOW.script.waitMs + MAX_BATCH * SLOW.script.waitMsPerImage;
const QUICK = {
  name: 'quick',
  script: { waitMs: 10, waitMsPerImage: 2 },
  batching: { maxBatchSize: MAX_BATCH },
  queue: { maxQueueSize: 5_000 },
};

exitOnSignals();
const { values } = parseArgs({
  options: {
    /** Shorter rounds. */
    quick: { type: 'boolean', default: false },
    /** Of the measures, separated by commas. */
    only: { type: 'string', default: 'shares,cost,authentication' },
  },
});
const print = (line: string) => console.log(`  ${line}`);

async function measureFairness(): Promise<Section> {
  const system = await startSystem({ scripted: [SLOW, QUICK] });
  try {
    const flood = await measureBehindFlood(system.redisUrl, SLOW.name, {
      requests: values.quick ? 40 : 150,
      backlog: 2_000,
    });
    print(`p95 alone ${p95(flood.alone).toFixed(0)} ms, behind 2,000 ${p95(flood.behind).toFixed(0)} ms`);
    const equal = await measureEqualTenants(system.redisUrl);
    const weighted = await measureWeights(system.redisUrl);
    const sybil = await measureManyKeys(system.redisUrl);
    return describeFairness(flood, equal, weighted, sybil);
  } finally {
    await system.stop();
  }
}

async function measureEqualTenants(redisUrl: string) {
  const callers = Array.from({ length: 8 }, (_, i) => by(`tenant${i}`));
  const shares = await measureShares(redisUrl, QUICK.name, { callers, each: 200, count: 800 });
  const index = fairnessIndex(callers.map(({ tenant }) => shares.get(tenant) ?? 0));
  print(`8 tenants: ${[...shares.values()].join(' ')}, index ${index.toFixed(4)}`);
  return { shares, index };
}

async function measureWeights(redisUrl: string) {
  const weighted = [by('one', 1), by('two', 2), by('four', 4)];
  // As many images as its weight asks for, so that all have a backlog to the end.
  const callers = weighted.flatMap((caller) => Array.from({ length: caller.weight }, () => caller));
  const parts = await measureShares(redisUrl, SLOW.name, { callers, each: 150, count: 560 });
  const total = [...parts.values()].reduce((sum, part) => sum + part, 0);
  const errors = weighted.map(({ tenant, weight }) => Math.abs(((parts.get(tenant) ?? 0) * 7) / (total * weight) - 1));
  const images = weighted.map(({ tenant }) => parts.get(tenant));
  print(`weights 1, 2, 4: ${images.join(', ')}`);
  return { parts, images, error: Math.max(...errors) };
}

/** A tenant with 50 keys, and one with a single key. */
async function measureManyKeys(redisUrl: string) {
  const keys = Array.from({ length: 50 }, (_, i) => by('many', 1, `key${i}`));
  const callers = [...keys, ...Array.from({ length: 50 }, () => by('single', 1, 'key'))];
  const shares = await measureShares(redisUrl, QUICK.name, { callers, each: 12, count: 600 });
  const [many, single] = [shares.get('many'), shares.get('single')];
  print(`50 keys against one: ${many} to ${single}`);
  return { shares, many, single, advantage: (many ?? 0) / (single ?? 1) };
}

function describeFairness(
  { alone, behind, leftOfFlood }: Awaited<ReturnType<typeof measureBehindFlood>>,
  equal: Awaited<ReturnType<typeof measureEqualTenants>>,
  weighted: Awaited<ReturnType<typeof measureWeights>>,
  sybil: Awaited<ReturnType<typeof measureManyKeys>>,
): Section {
  const bound = p95(alone) + 2 * BATCH_MS;
  return {
    title: 'Fair shares',
    how: `One worker whose engine waits ${SLOW.script.waitMs} ms and ${SLOW.script.waitMsPerImage} ms per image (the first two rows and the weights; else ${QUICK.script.waitMs} and ${QUICK.script.waitMsPerImage}), batches of ${MAX_BATCH}. Tenants queue images of 8x8 pixels themselves.`,
    columns: ['measure', 'figure'],
    rows: [
      ['p95 of one image at a time, alone', `${p95(alone).toFixed(0)} ms`],
      [
        `the same behind another tenant's 2,000 images (${leftOfFlood} of them left at the end)`,
        `${p95(behind).toFixed(0)} ms`,
      ],
      ['images of 8 equal tenants with a backlog', [...equal.shares.values()].join(' ')],
      ['images of tenants with weights 1, 2 and 4', weighted.images.join(' ')],
      ['images of a tenant with 50 keys, and of one with one', `${sybil.many} ${sybil.single}`],
    ],
    data: { alone, behind, shares: [...equal.shares], parts: [...weighted.parts], sybil: [...sybil.shares] },
    goals: [
      {
        goal: 'p95 behind the flood under the p95 alone plus two batches',
        figure: `${p95(behind).toFixed(0)} of ${bound.toFixed(0)} ms`,
        met: p95(behind) < bound,
      },
      { goal: "Jain's index over 8 equal tenants > 0.99", figure: equal.index.toFixed(4), met: equal.index > 0.99 },
      {
        goal: 'weighted shares within 3%',
        figure: `${(100 * weighted.error).toFixed(1)}%`,
        met: weighted.error <= 0.03,
      },
      {
        goal: 'many keys win nothing (within 3%)',
        figure: sybil.advantage.toFixed(3),
        met: Math.abs(sybil.advantage - 1) <= 0.03,
      },
    ],
  };
}

console.log(`CPU in use before it began: ${(100 * (await readBusyness())).toFixed(0)}%`);
const measures: Record<string, () => Promise<Section>> = {
  shares: measureFairness,
  cost: () => measureCost({ quick: values.quick, print }),
  authentication: () => measureAuthentication(print),
};
for (const name of values.only.split(',')) console.log(formatSection(await measures[name]!()));
