import type { Sighting, Verdict } from './protocol.ts';

const TERMINAL = new Set(['SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED']);

interface Account {
  expected: number | undefined;
  answered: boolean;
  /** Different ends seen; more than one is a contradiction. */
  ends: Map<string, Sighting>;
  broken: boolean;
  attempts: number;
  /** Servers that returned the end when they were last asked. */
  confirmedBy: Set<string>;
}

/** Records what clients were promised and what became of it. It does not depend on how the system works. */
export function createLedger() {
  const accounts = new Map<string, Account>();
  const endedWatches = new Set<string>();
  const missed: string[] = [];
  let sightings = 0;

  function open(id: string): Account {
    let account = accounts.get(id);
    if (!account) {
      account = {
        expected: undefined,
        answered: false,
        ends: new Map(),
        broken: false,
        attempts: 0,
        confirmedBy: new Set(),
      };
      accounts.set(id, account);
    }
    return account;
  }

  function see(watch: string, sighting: Sighting): void {
    const account = open(sighting.id);
    account.attempts = Math.max(account.attempts, sighting.attempts);
    if (endedWatches.has(watch)) account.broken = true;
    if (!TERMINAL.has(sighting.status)) return;
    sightings += 1;
    endedWatches.add(watch);
    account.ends.set(JSON.stringify([sighting.status, sighting.best ?? null, sighting.errorCode ?? null]), sighting);
  }

  return {
    answer(id: string, expected: number | undefined): void {
      const account = open(id);
      account.answered = true;
      account.expected ??= expected;
    },
    see,
    complete(watch: string): void {
      if (!endedWatches.has(watch)) missed.push(watch);
    },
    /** What a server answered when the ledger asked for an id; null if it does not know the id. */
    confirm(url: string, id: string, sighting: Sighting | null): void {
      if (!sighting || !TERMINAL.has(sighting.status)) return;
      see(`ledger ${url} ${id}`, sighting);
      open(id).confirmedBy.add(url);
      // Each question is a separate stream of states.
      endedWatches.delete(`ledger ${url} ${id}`);
    },
    unconfirmed: (url: string): string[] =>
      [...accounts].filter(([, account]) => account.answered && !account.confirmedBy.has(url)).map(([id]) => id),
    judge(urls: string[]): Verdict {
      const all = [...accounts].filter(([, { answered }]) => answered);
      const ids = (wanted: (account: Account) => boolean) =>
        all.filter(([, account]) => wanted(account)).map(([id]) => id);
      const ended: Record<string, number> = {};
      for (const [, { ends }] of all) {
        for (const { status } of [...ends.values()].slice(0, 1)) ended[status] = (ended[status] ?? 0) + 1;
      }
      return {
        type: 'verdict',
        answered: all.length,
        sightings,
        ended,
        lost: ids(({ confirmedBy }) => urls.some((url) => !confirmedBy.has(url))),
        contradictory: ids(({ ends, broken }) => ends.size > 1 || broken),
        missed,
        wrong: ids(
          ({ ends, expected }) =>
            expected !== undefined &&
            [...ends.values()].some(({ status, best }) => status === 'SUCCEEDED' && best !== expected),
        ),
        retried: ids(({ attempts }) => attempts > 1),
      };
    },
  };
}
