import { memo, useId } from 'react';
import type { Board } from '../state/board.ts';
import { type Card, hasEnded } from '../state/card.ts';
import type { Model } from '../state/models.ts';
import { describeCard } from '../state/words.ts';
import { CardFacts } from './card-facts.tsx';
import { CardPhoto } from './card-photo.tsx';
import { CloseIcon, RetryIcon } from './icons.tsx';
import { LabelBars } from './label-bars.tsx';
import { WaitingTime } from './waiting-time.tsx';

interface CardViewProps {
  card: Card;
  board: Board;
  models: readonly Model[];
  goTo(path: string): void;
  /** Whether it has the page for itself. */
  alone?: boolean;
}

/** One photograph: its picture, what is happening to it, and the answer. */
export const CardView = memo(function CardView({ card, board, models, goTo, alone = false }: CardViewProps) {
  const titleId = useId();
  const Heading = alone ? 'h2' : 'h3';
  const { key, prediction, heatmap } = card;
  const words = describeCard(card);
  const ended = hasEnded(card);
  const labels = prediction?.result?.labels;
  const model = models.find(({ name }) => name === prediction?.model);
  const succeeded = prediction?.status === 'SUCCEEDED';
  return (
    <article className={alone ? 'card card-alone' : 'card'} data-tone={words.tone} aria-labelledby={titleId}>
      <CardPhoto card={card} model={model} busy={words.tone === 'busy'} />
      <div className="card-body">
        <div className="card-head">
          <Heading id={titleId} title={card.name}>
            {card.name ?? 'A prediction by its link'}
          </Heading>
          {!alone && ended && (
            <button
              type="button"
              className="icon-button"
              aria-label={`Remove ${card.name ?? 'it'}`}
              onClick={() => board.remove(key)}
            >
              <CloseIcon />
            </button>
          )}
        </div>
        <div className="card-content">
          {labels ? (
            <LabelBars
              labels={labels}
              heatmap={heatmap}
              onChoose={model?.heatmap.available === false ? undefined : (index) => board.toggleHeatmap(key, index)}
            />
          ) : (
            <div className="card-state">
              <p className="card-state-title">{words.title}</p>
              <p className="card-state-detail">{words.detail ?? ' '}</p>
              {!ended && <WaitingTime sinceMs={card.addedAtMs} />}
              <div className="card-actions">
                {!ended && (
                  <button type="button" className="button" onClick={() => board.cancel(key)}>
                    Cancel
                  </button>
                )}
                {ended && card.canRetry && (
                  <button type="button" className="button" onClick={() => board.retry(key)}>
                    <RetryIcon />
                    Try again
                  </button>
                )}
              </div>
            </div>
          )}
        </div>
        <CardFacts card={card} succeeded={succeeded} alone={alone} goTo={goTo} />
      </div>
    </article>
  );
});
