import type { Board } from '../state/board.ts';
import { type Card, hasEnded } from '../state/card.ts';
import type { Model } from '../state/models.ts';
import { CardView } from './card-view.tsx';

interface BoardViewProps {
  cards: readonly Card[];
  board: Board;
  models: readonly Model[];
  goTo(path: string): void;
}

/** All cards, newest first. */
export function BoardView({ cards, board, models, goTo }: BoardViewProps) {
  if (cards.length === 0) return null;
  const ended = cards.filter(hasEnded).length;
  const hasHeatmaps = cards.some(
    ({ prediction }) =>
      prediction?.status === 'SUCCEEDED' &&
      models.some(({ name, heatmap }) => name === prediction.model && heatmap.available),
  );
  return (
    <section className="board" aria-label="Photographs">
      <div className="board-bar">
        <h2>
          {ended === cards.length
            ? `${cards.length} ${cards.length === 1 ? 'photograph' : 'photographs'}`
            : `${ended} of ${cards.length} done`}
        </h2>
        {hasHeatmaps && <p className="board-hint">Choose a label to see where the model saw it</p>}
        <button
          type="button"
          className="button button-quiet"
          disabled={ended === 0}
          onClick={() => board.removeEnded()}
        >
          Clear what is done
        </button>
      </div>
      <ul className="cards">
        {cards.map((card) => (
          <li key={card.key}>
            <CardView card={card} board={board} models={models} goTo={goTo} />
          </li>
        ))}
      </ul>
    </section>
  );
}
