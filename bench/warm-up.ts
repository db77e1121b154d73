import type { RpcChild } from './child-rpc.ts';
import type { LoadPlan, LoadResult } from './load/plan.ts';
import { NOOP_MODEL } from './scenario.ts';
import type { System } from './system.ts';

/**
 * V8 compiles a server's hot code during this many answers: until then it takes up to twice the CPU, and its compiler's threads take time
 * from a second engine. A slow model would need minutes for as many.
 */
const WARM_UP_ANSWERS = 5_000;
const PIECE_MS = 2_000;
/** On a busy machine, a server's first answers take seconds. */
const MAX_EMPTY_PIECES = 15;

/** Lets a system's servers give constant answers until their code is compiled, by a worker that leaves afterwards. */
export async function warmUpServers(
  system: Pick<System, 'urls' | 'startWorker'>,
  load: RpcChild<LoadPlan, LoadResult>,
  images: string[],
): Promise<void> {
  const worker = await system.startWorker(NOOP_MODEL);
  const plan = { urls: system.urls, request: 'graphql' as const, model: NOOP_MODEL.name, images };
  let emptyPieces = 0;
  for (let answers = 0; answers < WARM_UP_ANSWERS; ) {
    const { answered } = await load.call({ ...plan, load: { clients: 32 }, warmupMs: 0, durationMs: PIECE_MS });
    emptyPieces = answered === 0 ? emptyPieces + 1 : 0;
    if (emptyPieces === MAX_EMPTY_PIECES) throw new Error('no answers during the warm-up');
    answers += answered;
  }
  await worker.stop();
}
