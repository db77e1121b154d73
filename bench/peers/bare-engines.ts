/** onnxruntime and the model alone, in each way that could be the fastest here. */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { BaselineRequest, BaselineResponse } from '../baseline/plan.ts';
import { preparePixels } from '../benchmark-images.ts';
import { startRpcChild } from '../child-rpc.ts';
import type { ComparedModel } from './servers.ts';

const BATCHES = [1, 2, 4, 8];
const TRY_MS = 2_000;

/** A way to run the bare engine. */
export interface BareEngine {
  /** Completes 'the bare engine, ...'. */
  name: string;
  /** @returns images per second */
  measure(durationMs: number): Promise<number>;
}

export interface BareEngines {
  /** Loads the model, tries each way and batch size, and returns the fastest, or the one of the `known` name. */
  findBest(compared: ComparedModel, images: string[], dir: string, known?: string): Promise<BareEngine>;
  close(): Promise<void>;
}

/** @param python with onnxruntime */
export function startBareEngines(python: string): BareEngines {
  const cores = availableParallelism();
  const start = () => startRpcChild<BaselineRequest, BaselineResponse>('baseline/main.js');
  const children = Array.from({ length: cores }, start);
  const shared = start();

  return {
    async findBest({ model: { onnxPath, spec } }, images, dir, known) {
      const { pixelsPath, size } = await preparePixels(spec.input, images, dir);
      await shared.call({ type: 'load', onnxPath, threads: cores, pixelsPath, size });
      for (const child of children) await child.call({ type: 'load', onnxPath, threads: 1, pixelsPath, size });
      const script = join(resolve('bench/peers'), 'bare_engine.py');
      const ways = BATCHES.flatMap((batch): BareEngine[] => [
        {
          name: `Node, one session on all cores, batch ${batch}`,
          measure: async (durationMs) => (await shared.call({ type: 'run', batch, durationMs })).imagesPerSecond,
        },
        {
          name: `Node, a process per core with one thread each, batch ${batch}`,
          async measure(durationMs) {
            const rates = await Promise.all(children.map((child) => child.call({ type: 'run', batch, durationMs })));
            return rates.reduce((sum, { imagesPerSecond }) => sum + imagesPerSecond, 0);
          },
        },
        {
          name: `Python, one session on all cores, batch ${batch}`,
          async measure(durationMs) {
            const args = [script, onnxPath, pixelsPath, ...[...size, batch, cores, durationMs].map(String)];
            return Number((await promisify(execFile)(python, args)).stdout);
          },
        },
      ]);
      const found = ways.find(({ name }) => name === known);
      if (found) return found;
      let best: { way: BareEngine; rate: number } | undefined;
      for (const way of ways) {
        const rate = await way.measure(TRY_MS);
        console.log(`  bare engine: ${way.name}: ${rate.toFixed(1)}/s`);
        if (!best || rate > best.rate) best = { way, rate };
      }
      return best!.way;
    },
    async close() {
      await Promise.all([shared, ...children].map((child) => child.close()));
    },
  };
}
