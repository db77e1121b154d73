import type { Board } from '../state/board.ts';
import type { Card } from '../state/card.ts';
import type { Model } from '../state/models.ts';
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
