/** What the tests of fair shares share. */

import type { Caller, Priority } from '../contract.ts';
import type { Outcome } from '../jobs/consumer.ts';
import { type setUp, success } from './queue.fixture.ts';

export type Queue = Awaited<ReturnType<typeof setUp>>;

export const by = (tenant: string, weight = 1): Caller => ({ tenant, keyId: undefined, weight });

/** Queues this many different images. Returns their ids. */
export async function flood(
  { admit }: Queue,
  caller: Caller,
  count: number,
  priority: Priority = 'NORMAL',
): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await admit(i % 250, { caller, priority, share: false })).id);
  return ids;
}

/** Serves batches of `size` until `count` jobs are done. Returns their tenants, in order. @param imageMs what a tenant's image takes */
export async function serve(
  { consumer }: Queue,
  count: number,
  size = 8,
  imageMs = (_tenant: string) => 5,
): Promise<string[]> {
  const served: string[] = [];
  while (served.length < count) {
    const started = await consumer.start(await consumer.claim(Math.min(size, count - served.length)));
    const outcomes = started.map(
      (one): Outcome => ({ ...success(one), inferenceMs: imageMs(one.job.tenant) }) as Outcome,
    );
    await consumer.settle(outcomes);
    served.push(...started.map(({ job }) => job.tenant));
  }
  return served;
}

export function countBy(names: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Jain's index: 1 is perfectly even. */
export function evenness(shares: number[]): number {
  const sum = shares.reduce((total, one) => total + one, 0);
  return sum ** 2 / (shares.length * shares.reduce((total, one) => total + one ** 2, 0));
}
