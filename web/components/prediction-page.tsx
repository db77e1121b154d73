import type { Model } from '@inferql/client';
import { useEffect, useRef } from 'react';
import type { Board } from '../state/board.ts';
import type { Card } from '../state/card.ts';
import { formatLabel } from '../state/format.ts';
import { predictionPath } from '../state/location.ts';
import { CardView } from './card-view.tsx';
import { BackIcon } from './icons.tsx';
import { PageLink } from './page-link.tsx';
import { PredictionFacts } from './prediction-facts.tsx';

interface PredictionPageProps {
  id: string;
  cards: readonly Card[];
  board: Board;
  models: readonly Model[];
  goTo(path: string): void;
}

/** One prediction, opened by its link. Its `key` must be the id. An image that is sent again from here stays here. */
export function PredictionPage({ id, cards, board, models, goTo }: PredictionPageProps) {
  const shownKey = useRef<string>(undefined);
  const card =
    cards.find(({ key, prediction }) => prediction?.id === id || key === id) ??
    cards.find(({ key }) => key === shownKey.current);
  shownKey.current = card?.key;
  const sentId = card?.prediction?.id;
  useEffect(() => {
    // The address is the new prediction's, for a reload, without a navigation that would move the focus.
    if (sentId !== undefined && sentId !== id) history.replaceState(history.state, '', predictionPath(sentId));
  }, [id, sentId]);
  // Goes back to the board as it was left, if this page was opened from it.
  const goBack = (path: string) => (history.state?.isFromBoard ? history.back() : goTo(path));
  const status = card?.prediction?.status;
  const key = card?.key;
  useEffect(() => {
    if (key && status === 'SUCCEEDED') board.readOutputs(key);
  }, [board, key, status]);
  const best = card?.prediction?.result?.labels[0]?.name;
  useEffect(() => {
    document.title = `${best ? formatLabel(best) : 'A prediction'} · InferQL`;
    return () => {
      document.title = 'InferQL';
    };
  }, [best]);
  return (
    <section className="alone" aria-label="One prediction">
      <PageLink to="/" goTo={goBack} className="back">
        <BackIcon />
        All photos
      </PageLink>
      {card && <CardView card={card} board={board} models={models} goTo={goTo} alone />}
      <PredictionFacts prediction={card?.prediction} />
    </section>
  );
}
