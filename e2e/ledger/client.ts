import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { buildSystem, projectDir } from '@inferql/testing/build';
import { startChild } from '@inferql/testing/processes/child-process';
import type { LedgerRequest, Sighting, Verdict } from './protocol.ts';

/** A test's handle on the ledger's process. */
export interface Ledger {
  /** A client was given this id. */
  answered(id: string, expected?: number): void;
  /** Starts one uninterrupted stream of states, such as one subscription. */
  watch(via: string): { seen(sighting: Sighting): void; completed(id: string): void };
  /** Asks every server for every id until each has ended or the time is up. */
  judge(urls: string[], options?: { timeoutMs?: number; keys?: string[] }): Promise<Verdict>;
  end(): Promise<void>;
}

export async function startLedger(): Promise<Ledger> {
  let giveVerdict: ((verdict: Verdict) => void) | undefined;
  const child = await startChild({
    name: 'ledger',
    args: [join(await buildSystem(), 'e2e/ledger/main.js')],
    env: { PATH: process.env.PATH ?? '' },
    cwd: projectDir,
    isReady(message) {
      const { type } = message as { type: string };
      if (type === 'verdict') giveVerdict?.(message as Verdict);
      return type === 'ready';
    },
  });
  const send = (request: LedgerRequest) => child.send(request);
  return {
    answered: (id, expected) => send({ type: 'answered', id, expected }),
    watch(via) {
      const watch = `${via} ${randomUUID()}`;
      return {
        seen: (sighting) => send({ type: 'seen', watch, via, ...sighting }),
        completed: (id) => send({ type: 'completed', watch, id }),
      };
    },
    async judge(urls, { timeoutMs = 30_000, keys = [] } = {}) {
      const verdict = new Promise<Verdict>((resolve) => {
        giveVerdict = resolve;
      });
      send({ type: 'judge', urls, timeoutMs, keys });
      return await verdict;
    },
    end: () => child.end(),
  };
}
