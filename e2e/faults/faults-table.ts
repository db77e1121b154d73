import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import type { Verdict } from '../ledger/protocol.ts';

interface Fault {
  /** What is seen of it. */
  seen: string;
  /** Whether work that was started is lost with it, so that it must be started again. */
  costsAttempts?: true;
}

/** Every fault of the suite, in the table's order. */
const FAULTS: Record<string, Fault> = {
  'kill -9 of a worker in the middle of a batch': { seen: 'the other worker reclaims its jobs', costsAttempts: true },
  'kill -9 of all workers': { seen: 'jobs wait, new workers reclaim them', costsAttempts: true },
  'SIGSTOP of a worker beyond its lease, then SIGCONT': {
    seen: 'its late results change nothing',
    costsAttempts: true,
  },
  'ResNet50: kill -9 of one worker, of all, and SIGSTOP of one': {
    seen: 'others reclaim the jobs, late results change nothing',
    costsAttempts: true,
  },
  'an engine that throws': { seen: 'the poisonous image fails alone', costsAttempts: true },
  'an engine that hangs': { seen: 'the engine is restarted, the image fails alone', costsAttempts: true },
  'an engine that exits': { seen: 'the engine is restarted, the image fails alone', costsAttempts: true },
  'kill -9 of a server': { seen: 'clients continue with the other server' },
  'kill -9 of a worker and of a server, with two tenants and keys': {
    seen: 'each tenant finds all of its predictions and none of the other',
    costsAttempts: true,
  },
  'rolling restart of servers and workers': { seen: 'no prediction failed' },
  'kill -9 of Redis, appendfsync everysec': { seen: 'everything waits and recovers automatically' },
  'kill -9 of Redis, appendfsync always': { seen: 'everything waits and recovers automatically' },
  'Redis out of memory': { seen: 'admission refused with UNAVAILABLE, the queue drains' },
  'connections to Redis cut': { seen: 'both sides reconnect and continue' },
  'connections to Redis slow (100 ms each way)': { seen: 'slower, nothing else' },
  'SUBSCRIBE delayed (500 ms)': { seen: 'no answer is missed' },
  'published messages lost for 5 s': { seen: 'states are read again' },
};

export interface Row {
  fault: string;
  inFlight: number;
  verdict: Verdict;
}

interface Kept {
  inFlight: number;
  lost: number;
  contradictory: number;
  retried: boolean;
}

const rowsDir = join(projectDir, '.inferql', 'fault-rows');
const tablePath = join(projectDir, 'docs', 'faults.md');
const rowPath = (fault: string) => join(rowsDir, `${fault.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.json`);

/** Removes a fault's row when its test begins, so that the table only contains what passed. */
export async function removeRow(fault: string): Promise<void> {
  if (!(fault in FAULTS)) throw new Error(`the table has no row for '${fault}'`);
  await rm(rowPath(fault), { force: true });
}

/** Keeps a fault's figures, rounded so that equal behavior gives an equal table, and writes the table once all rows are there. */
export async function writeRow({ fault, inFlight, verdict }: Row): Promise<void> {
  const kept: Kept = {
    inFlight: Math.floor(inFlight / 100) * 100,
    lost: verdict.lost.length,
    contradictory: verdict.contradictory.length,
    retried: verdict.retried.length > 0,
  };
  await mkdir(rowsDir, { recursive: true });
  await writeFile(rowPath(fault), JSON.stringify(kept));
  await writeTable();
}

async function writeTable(): Promise<void> {
  const lines: string[] = [];
  for (const [fault, { seen, costsAttempts }] of Object.entries(FAULTS)) {
    const text = await readFile(rowPath(fault), 'utf8').catch(() => undefined);
    if (text === undefined) return;
    const { inFlight, lost, contradictory, retried } = JSON.parse(text) as Kept;
    const again = costsAttempts && retried ? 'yes' : '';
    const cells = [fault, `${inFlight}+`, String(lost), String(contradictory), again, seen];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  const table = `# Faults

This page shows what happens to predictions when a part of the system fails. The fault suite (\`npx vitest run e2e/faults\`) causes each
fault under load, counts the outcomes, and writes this page. It runs real processes: a Redis, two servers and two workers.

Clients watch their predictions through waiting mutations, queries, server-sent events and WebSockets. Some cancel, and some set a timeout
that is too short. A ledger in a separate process records every id and every state that a client receives. At the end it asks each
server for each id.

- *In flight*: at least this many predictions are open when the fault happens.
- *Lost*: accepted, but without a terminal state on some server.
- *Contradictory*: two different terminal states were seen, or any other state after a terminal one.
- *Run again*: the fault interrupts work that had started, so it must be started again.

| Fault | In flight | Lost | Contradictory | Run again | Observed |
|---|---|---|---|---|---|
${lines.join('\n')}
`;
  await mkdir(join(projectDir, 'docs'), { recursive: true });
  await writeFile(tablePath, table);
}
