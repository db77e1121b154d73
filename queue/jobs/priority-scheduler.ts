/** Divides a batch among the lanes: urgent jobs go first, and the others never starve. */
import { PRIORITIES, type Priority } from '../contract.ts';

/** Each lane's places out of 21, if every lane is fully loaded. */
const WEIGHTS: Record<Priority, number> = { HIGH: 16, NORMAL: 4, LOW: 1 };
const TOTAL = Object.values(WEIGHTS).reduce((sum, weight) => sum + weight);

/**
 * Smooth weighted round robin, as nginx shares requests among upstreams: each place goes to the lane with the most credit.
 * Credit lasts from batch to batch, so that the lowest lane is served even at batches of one.
 */
export function createPriorityScheduler() {
  const credit: Record<Priority, number> = { HIGH: 0, NORMAL: 0, LOW: 0 };
  return {
    /** How many of `places` each lane may take first. They add up to `places`. */
    share(places: number): Record<Priority, number> {
      const share: Record<Priority, number> = { HIGH: 0, NORMAL: 0, LOW: 0 };
      for (let place = 0; place < places; place++) {
        for (const lane of PRIORITIES) credit[lane] += WEIGHTS[lane];
        const best = PRIORITIES.reduce((a, b) => (credit[b] > credit[a] ? b : a));
        credit[best] -= TOTAL;
        share[best] += 1;
      }
      return share;
    },
  };
}

/** Gives `count` of the places to jobs of one lane: first its own, then those of the least urgent lanes. */
export function usePlaces(places: Record<Priority, number>, lane: Priority, count: number): void {
  let left = count;
  for (const from of [lane, ...PRIORITIES.toReversed()]) {
    const used = Math.min(places[from], left);
    places[from] -= used;
    left -= used;
  }
}
