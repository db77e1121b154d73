import { useEffect, useMemo, useRef, useState } from 'react';
import type { Card } from '../state/card.ts';
import { hasEnded } from '../state/card.ts';
import { describeCard } from '../state/card-texts.ts';
import { formatLabel, formatShare } from '../state/format.ts';
import { createThrottle } from '../state/throttle.ts';

/** Hundreds of cards end within seconds; nobody wants to hear about each. */
const MIN_INTERVAL_MS = 2_000;

/** Announces to a screen reader that cards were added and how they ended, in one sentence for all. */
export function Announcer({ cards }: { cards: readonly Card[] }) {
  const [announced, setAnnounced] = useState('');
  const text = describeCards(cards);
  const latest = useRef(text);
  latest.current = text;
  const announce = useMemo(() => createThrottle(() => setAnnounced(latest.current), MIN_INTERVAL_MS), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it runs when the text has changed
  useEffect(announce, [announce, text]);
  return (
    <p className="visually-hidden" role="status">
      {announced}
    </p>
  );
}

function describeCards(cards: readonly Card[]): string {
  const ended = cards.filter(hasEnded);
  const [newest] = ended.toSorted((a, b) => (b.endedAtMs ?? 0) - (a.endedAtMs ?? 0));
  if (newest) return `${describeEnd(newest)} ${ended.length} of ${cards.length} done.`;
  return cards.length === 0 ? '' : `${cards.length} added.`;
}

function describeEnd(card: Card): string {
  const [best] = card.prediction?.result?.labels ?? [];
  const name = card.name ?? 'The prediction';
  return best
    ? `${name}: ${formatLabel(best.name)}, ${formatShare(best.score)}.`
    : `${name}: ${describeCard(card).title}.`;
}
