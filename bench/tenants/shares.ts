/** Each tenant's share of the work, and how long a tenant waits behind another one's backlog. */
import type { Caller } from '@inferql/queue/contract';
import { percentile } from '../stats.ts';
import { by, openTenantClients, type TenantClients } from './clients.ts';

/** Jain's index over shares: 1 is perfectly even, 1/n is all to one. */
export function fairnessIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  return sum ** 2 / (shares.length * shares.reduce((total, share) => total + share ** 2, 0));
}

/** Sends `each` images for every caller, interleaved. */
async function flood(clients: TenantClients, callers: Caller[], each: number): Promise<void> {
  for (let i = 0; i < each; i++) await Promise.all(callers.map((caller) => clients.send(caller)));
}

/** Resolves once `count` more have ended; how many of them were each tenant's. */
async function countNext(clients: TenantClients, count: number): Promise<Map<string, number>> {
  const from = clients.ended.length;
  await clients.whenEnded(from + count);
  const counts = new Map<string, number>();
  for (const tenant of clients.ended.slice(from, from + count)) {
    counts.set(tenant, (counts.get(tenant) ?? 0) + 1);
  }
  return counts;
}

/** What each caller got of the next `count` images while all of them had a backlog. */
export async function measureShares(
  redisUrl: string,
  model: string,
  { callers, each, count }: { callers: Caller[]; each: number; count: number },
): Promise<Map<string, number>> {
  const clients = await openTenantClients(redisUrl, model);
  try {
    await flood(clients, callers, each);
    return await countNext(clients, count);
  } finally {
    await clients.cancelAll();
    clients.close();
  }
}

/** Milliseconds from sending to the end, of one image after the other, alone and while another tenant has `backlog` images queued. */
export async function measureBehindFlood(
  redisUrl: string,
  model: string,
  { requests, backlog }: { requests: number; backlog: number },
): Promise<{ alone: number[]; behind: number[]; leftOfFlood: number }> {
  const clients = await openTenantClients(redisUrl, model);
  async function sendOneByOne(): Promise<number[]> {
    const latencies: number[] = [];
    for (let i = 0; i < requests; i++) {
      const sentAt = performance.now();
      const { end } = await clients.send(by('single'));
      await end;
      latencies.push(performance.now() - sentAt);
    }
    return latencies;
  }
  try {
    const alone = await sendOneByOne();
    const before = clients.ended.length;
    await flood(clients, [by('flood')], backlog);
    const behind = await sendOneByOne();
    const done = clients.ended.slice(before).filter((tenant) => tenant === 'flood').length;
    return { alone, behind, leftOfFlood: backlog - done };
  } finally {
    await clients.cancelAll();
    clients.close();
  }
}

export const p95 = (latencies: readonly number[]) => percentile(latencies, 0.95);
