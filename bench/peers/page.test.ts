import { expect, test } from 'vitest';
import { addRounds, type Figures, type Measured } from './page.ts';

const figures = (value: number): Figures => ({
  shares: [value],
  besideShares: [value],
  perSecond: [value],
  cpuMs: [value],
  roleMs: { server: [value] },
  idleMs: [value],
  oneMs: [value],
});
const measured = (name: string, peers: Record<string, number>): Measured => ({
  name,
  bare: 'one',
  peers: Object.entries(peers).map(([peer, value]) => ({ name: peer, ...figures(value) })),
});

test('rounds of several runs are joined by model and peer, and nothing is lost', () => {
  const joined = addRounds(
    [measured('a', { first: 1, second: 2 }), measured('b', { first: 3 })],
    [measured('a', { second: 4, third: 5 }), measured('c', { first: 6 })],
  );
  const rates = joined.map(({ name, peers }) => [name, ...peers.map((peer) => [peer.name, ...peer.perSecond])]);
  expect(rates).toEqual([
    ['b', ['first', 3]],
    ['a', ['first', 1], ['second', 2, 4], ['third', 5]],
    ['c', ['first', 6]],
  ]);
  expect(joined[1]!.peers[1]!.roleMs).toEqual({ server: [2, 4] });
});
