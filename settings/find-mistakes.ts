/** Variables that are set and probably intended as a setting: former names, and names with a typing error. */
import type { Environment, Setting, SettingTable } from './define-settings.ts';

const PREFIX = 'INFERQL_';
/** Shorter names without the prefix resemble too many variables of other programs. */
const LEAST_LENGTH_WITHOUT_PREFIX = 8;

/**
 * A warning for each environment variable that has a former name or resembles the name of a setting.
 * Only similar names are reported: container platforms add variables such as INFERQL_SERVER_PORT for a service `inferql-server`.
 */
export function findMistakes(table: SettingTable, env: Environment): string[] {
  const settings = Object.values(table);
  const byFormerName = new Map(
    settings.flatMap((setting) => (setting.formerNames ?? []).map((former) => [former, setting] as const)),
  );
  const names = new Set(settings.map(({ name }) => name));
  /** By the name that may have been intended: the current name. */
  const current = new Map([...byFormerName].map(([former, { name }]) => [former, name]));
  for (const name of names) current.set(name, name);
  const warnings: string[] = [];
  for (const name of Object.keys(env).sort()) {
    if (!env[name] || names.has(name)) continue;
    const successor = byFormerName.get(name);
    if (successor) warnings.push(describeFormerName(name, successor, env));
    else {
      const nearest = findNearest(name, current);
      if (nearest) warnings.push(`${name} is not a setting and has no effect. Did you mean ${nearest}?`);
    }
  }
  return warnings;
}

function describeFormerName(former: string, { name }: Setting, env: Environment): string {
  return env[name]
    ? `${former} is a former name of ${name} and has no effect, because ${name} is set, too.`
    : `${former} is a former name of ${name}. It still works; please use ${name}.`;
}

function findNearest(name: string, current: ReadonlyMap<string, string>): string | undefined {
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const [candidate, currentName] of current) {
    const isOurs = candidate.startsWith(PREFIX);
    if (isOurs !== name.startsWith(PREFIX)) continue;
    if (!isOurs && candidate.length < LEAST_LENGTH_WITHOUT_PREFIX) continue;
    // Of the part that distinguishes names, a quarter may differ, two letters at most. Two exchanged letters are a slip in any name.
    const telling = candidate.length - (isOurs ? PREFIX.length : 0);
    const allowed = Math.max(Math.min(2, Math.floor(telling / 4)), hasSameLetters(name, candidate) ? 1 : 0);
    if (Math.abs(name.length - candidate.length) > allowed) continue;
    const distance = measureDistance(name, candidate);
    if (distance <= allowed && distance < least) {
      least = distance;
      nearest = currentName;
    }
  }
  return nearest;
}

function hasSameLetters(one: string, other: string): boolean {
  return [...one].sort().join('') === [...other].sort().join('');
}

/** How many letters have to be inserted, removed, replaced or swapped with their neighbor (optimal string alignment). */
export function measureDistance(one: string, other: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const current = [row];
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1];
      let cost = Math.min(previous[column]! + 1, current[column - 1]! + 1, previous[column - 1]! + (isSame ? 0 : 1));
      const isSwap = row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      if (isSwap) cost = Math.min(cost, beforePrevious[column - 2]! + 1);
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[other.length]!;
}
