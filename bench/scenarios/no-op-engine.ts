import { readCpu, subtractCpu } from '../process-usage.ts';
import { type Bench, NOOP_MODEL, type Section } from '../scenario.ts';
import { spreadOf } from '../stats.ts';
import { startSystem } from '../system.ts';
import { warmUpServers } from '../warm-up.ts';

const CLIENTS = [1, 8, 32, 128];

/** The same path, images and input size, with an engine of constant answers. */
export async function measureNoopEngine({ quick, load, images, print }: Bench): Promise<Section[]> {
  const durationMs = quick ? 4_000 : 12_000;
  const system = await startSystem({ scripted: [NOOP_MODEL] });
  try {
    const plan = { urls: system.urls, request: 'graphql' as const, model: NOOP_MODEL.name, images };
    await warmUpServers(system, load, images);
    const rows = [];
    for (const clients of CLIENTS) {
      const serverBefore = readCpu(system.pids.servers[0]!);
      const result = await load.call({ ...plan, load: { clients }, warmupMs: 1_000, durationMs });
      const server = subtractCpu(readCpu(system.pids.servers[0]!), serverBefore);
      print(`${clients} clients: ${result.answeredPerSecond.toFixed(0)}/s (server ${server.totalMs} ms CPU)`);
      const { p50, p95, p99 } = spreadOf(result.latenciesMs);
      const refused = Object.values(result.refusals).reduce((total, latencies) => total + latencies.length, 0);
      const clientMs = result.cpuMs / result.answered;
      rows.push({ clients, perSecond: result.answeredPerSecond, p50, p95, p99, clientMs, refused });
    }
    return [
      {
        title: 'No-op engine',
        how: 'As end to end, including decoding, with constant answers instead of a model. The load generator shares the two cores; its CPU is in the table.',
        columns: ['clients', 'requests/s', 'p50 ms', 'p95 ms', 'p99 ms', 'client CPU ms per request', 'refused'],
        rows: rows.map((row) => [
          row.clients,
          row.perSecond.toFixed(0),
          row.p50.toFixed(1),
          row.p95.toFixed(1),
          row.p99.toFixed(1),
          row.clientMs.toFixed(2),
          row.refused,
        ]),
        data: rows,
        charts: [
          {
            file: 'no-op-engine.svg',
            chart: {
              title: 'Constant answers: requests per second',
              xLabel: 'clients',
              x: CLIENTS,
              lines: [{ name: 'requests per second', y: rows.map((row) => row.perSecond) }],
            },
          },
        ],
      },
    ];
  } finally {
    await system.stop();
  }
}
