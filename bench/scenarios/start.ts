import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { findFreePort } from '@inferql/launcher/free-port';
import type { Bench, Section } from '../scenario.ts';
import { spreadOf } from '../stats.ts';

const POLL_MS = 10;
const START_LIMIT_MS = 120_000;

/** `npm start` with everything installed, until the first 200 of /health/ready, and from SIGTERM until it has ended. */
export async function measureStart({ quick }: Bench): Promise<Section[]> {
  const starts: number[] = [];
  const stops: number[] = [];
  // The first start may still have something to set up.
  for (let round = 0; round < (quick ? 3 : 6); round++) {
    const port = await findFreePort();
    const startedAt = performance.now();
    const child = spawn('npm', ['start'], {
      env: { ...process.env, PORT: String(port) },
      stdio: 'ignore',
      detached: true,
    });
    const exited = once(child, 'exit');
    try {
      while (!(await answers(`http://127.0.0.1:${port}/health/ready`))) {
        if (performance.now() - startedAt > START_LIMIT_MS) throw new Error('npm start did not get ready');
        await delay(POLL_MS);
      }
      if (round > 0) starts.push(performance.now() - startedAt);
    } finally {
      const stoppedAt = performance.now();
      process.kill(-child.pid!, 'SIGTERM');
      await exited;
      if (round > 0) stops.push(performance.now() - stoppedAt);
    }
  }
  const [start, stop] = [spreadOf(starts), spreadOf(stops)];
  return [
    {
      title: 'Start',
      how: 'npm start with everything installed, a private Redis and the real model: time until the first 200 from /health/ready, and from SIGTERM until the process has exited.',
      columns: ['what', 'median ms', 'slowest ms'],
      rows: [
        ['start', start.p50.toFixed(0), Math.max(...starts).toFixed(0)],
        ['stop', stop.p50.toFixed(0), Math.max(...stops).toFixed(0)],
      ],
      data: { starts, stops },
      goals: [{ goal: 'second start < 3 s', figure: `${(start.p50 / 1000).toFixed(2)} s`, met: start.p50 < 3_000 }],
    },
  ];
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
