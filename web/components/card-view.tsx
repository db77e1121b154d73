import type { Model } from '@inferql/client';
import { memo, useId } from 'react';
import type { Board } from '../state/board.ts';
import { type Card, canRetry, hasEnded } from '../state/card.ts';
import { type CardText, describeCard } from '../state/card-texts.ts';
import { CardModelLine } from './card-model-line.tsx';
import { CardOutputs } from './card-outputs.tsx';
import { CardPhoto } from './card-photo.tsx';
import { moveFocus } from './focus.ts';
import { CloseIcon, RetryIcon } from './icons.tsx';
import { LabelBars } from './label-bars.tsx';
import { WaitingTime } from './waiting-time.tsx';

interface CardViewProps {
  card: Card;
  board: Board;
  models: readonly Model[];
  goTo(path: string): void;
  /** Whether it is the only card on the page. */
  alone?: boolean;
}

/** One image: its picture, its state, and the answer. */
export const CardView = memo(function CardView({ card, board, models, goTo, alone = false }: CardViewProps) {
  const titleId = useId();
  const Heading = alone ? 'h2' : 'h3';
  const { key, prediction, heatmap } = card;
  const words = describeCard(card);
  const ended = hasEnded(card);
  // A model may give none.
  const labels = prediction?.result?.labels.length ? prediction.result.labels : undefined;
  // Until the server says which one it is, the one that was chosen.
  const modelName = prediction?.model ?? card.model ?? (card.hasFile ? models[0]?.name : undefined);
  const model = models.find(({ name }) => name === prediction?.model);
  return (
    <article className={alone ? 'card card-alone' : 'card'} data-tone={words.tone} aria-labelledby={titleId}>
      <CardPhoto card={card} model={model} busy={words.tone === 'busy'} />
      <div className="card-body">
        <div className="card-head">
          <Heading id={titleId} title={card.name} dir="auto">
            {card.name ?? 'A prediction opened by its link'}
          </Heading>
          {!alone && ended && (
            <button
              type="button"
              className="icon-button"
              aria-label={`Remove ${card.name ?? 'it'}`}
              onClick={({ currentTarget }) => {
                moveFocus(currentTarget.closest('li'));
                board.remove(key);
              }}
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
            <CardState card={card} board={board} words={words} />
          )}
          {prediction?.result && <CardOutputs result={prediction.result} />}
        </div>
        <CardModelLine card={card} model={modelName} alone={alone} goTo={goTo} />
      </div>
    </article>
  );
});

interface CardStateProps extends Pick<CardViewProps, 'card' | 'board'> {
  words: CardText;
}

/** Instead of an answer: what happens to the image, and what one can do. */
function CardState({ card, board, words }: CardStateProps) {
  const ended = hasEnded(card);
  return (
    <div className="card-state">
      <p className="card-state-title">{words.title}</p>
      <p className="card-state-detail">{words.detail ?? ' '}</p>
      {!ended && <WaitingTime sinceMs={card.addedAtMs} />}
      <div className="card-actions">
        {(!ended || canRetry(card)) && (
          // One button for both, so that the focus stays on it.
          <button
            type="button"
            className="button"
            aria-disabled={card.isCanceling}
            onClick={() => (ended ? board.retry(card.key) : board.cancel(card.key))}
          >
            {ended && <RetryIcon />}
            {ended ? 'Try again' : card.isCanceling ? 'Canceling…' : 'Cancel'}
          </button>
        )}
      </div>
    </div>
  );
}
