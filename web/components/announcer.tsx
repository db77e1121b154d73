import type { Card } from '../state/card.ts';
import { hasEnded } from '../state/card.ts';
import { describeCard, formatLabel, formatShare } from '../state/words.ts';

/** Tells a screen reader how cards ended, one sentence for all of them. */
export function Announcer({ cards }: { cards: readonly Card[] }) {
  const ended = cards.filter(hasEnded);
  const [newest] = ended.toSorted((a, b) => finishedAt(b) - finishedAt(a));
  return (
    <p className="visually-hidden" role="status">
      {newest && `${describeEnd(newest)} ${ended.length} of ${cards.length} done.`}
    </p>
  );
}

function finishedAt({ prediction, addedAtMs }: Card): number {
  return prediction?.finishedAt ? Date.parse(prediction.finishedAt) : addedAtMs;
}

function describeEnd(card: Card): string {
  const [best] = card.prediction?.result?.labels ?? [];
  const name = card.name ?? 'The prediction';
  return best
    ? `${name}: ${formatLabel(best.name)}, ${formatShare(best.score)}.`
    : `${name}: ${describeCard(card).title}.`;
}
