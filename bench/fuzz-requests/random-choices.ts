import { createRandom } from '../fuzz-images/damage.ts';

/** Choices of one case: the same for the same seed and number. */
export interface Dice {
  /** 0 to below 1. */
  random(): number;
  /** A whole number below `count`. */
  below(count: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
}

/** @param number the case of the run, so that each can be repeated without those before it */
export function createDice(seed: number, number: number): Dice {
  const random = createRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
  const below = (count: number) => Math.floor(random() * count);
  return {
    random,
    below,
    chance: (probability) => random() < probability,
    pick: (items) => items[below(items.length)]!,
  };
}

/** Texts that parsers get wrong. */
const ODD_TEXTS = [
  '',
  '\0',
  '__proto__',
  'constructor',
  'toString',
  '../../etc/passwd',
  '\u2028',
  '\ud800',
  '🦊'.repeat(40),
  'é'.repeat(300),
  'a'.repeat(70_000),
  "'; FLUSHALL; --",
  '\r\nx-injected: 1',
  '%00%ff%zz',
  '{{7*7}}',
  '-1',
  '1e999',
  'NaN',
  '[object Object]',
];

/** Any JSON value, often one that no program expects. */
export function oddValue(dice: Dice, depth = 0): unknown {
  const simple: (() => unknown)[] = [
    () => null,
    () => dice.chance(0.5),
    () => dice.pick([0, -0, -1, 1, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, 0.1, 5e-324]),
    () => dice.pick(ODD_TEXTS),
    () => dice.below(1000),
  ];
  const nested: (() => unknown)[] = [
    () => Array.from({ length: dice.below(5) }, () => oddValue(dice, depth + 1)),
    () => Object.fromEntries(Array.from({ length: dice.below(5) }, () => [oddText(dice), oddValue(dice, depth + 1)])),
    () => deep(dice.below(2_000)),
  ];
  return dice.pick(depth > 2 || dice.chance(0.6) ? simple : nested)();
}

export function oddText(dice: Dice): string {
  return dice.pick(ODD_TEXTS);
}

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 ? [value] : { a: value };
  return value;
}

/** JSON that is parsed in a loop, and overflows the stack of whatever descends into it. */
export function deepText(dice: Dice): string {
  const levels = dice.pick([10_000, 60_000, 120_000]);
  return dice.chance(0.5)
    ? '['.repeat(levels) + ']'.repeat(levels)
    : `${'{"a":'.repeat(levels / 4)}1${'}'.repeat(levels / 4)}`;
}
