import { useEffect } from 'react';
import type { Board } from '../state/board.ts';
import type { Card } from '../state/card.ts';
import type { Model } from '../state/models.ts';
import { formatLabel } from '../state/words.ts';
import { CardView } from './card-view.tsx';
import { BackIcon } from './icons.tsx';
import { PageLink } from './page-link.tsx';

interface PredictionPageProps {
  id: string;
  cards: readonly Card[];
  board: Board;
  models: readonly Model[];
  goTo(path: string): void;
}

/** One prediction, opened by its link. */
export function PredictionPage({ id, cards, board, models, goTo }: PredictionPageProps) {
  const card = cards.find(({ key, prediction }) => prediction?.id === id || key === id);
  const best = card?.prediction?.result?.labels[0]?.name;
  useEffect(() => {
    document.title = `${best ? formatLabel(best) : 'A prediction'} · InferQL`;
    return () => {
      document.title = 'InferQL';
    };
  }, [best]);
  return (
    <section className="alone" aria-label="One prediction">
      <PageLink to="/" goTo={goTo} className="back">
        <BackIcon />
        All photographs
      </PageLink>
      {card && <CardView card={card} board={board} models={models} goTo={goTo} alone />}
    </section>
  );
}
