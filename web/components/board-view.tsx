import type { Model } from '@inferql/client';
import type { Board } from '../state/board.ts';
import { type Card, hasEnded } from '../state/card.ts';
import { CardView } from './card-view.tsx';
import { moveFocus } from './focus.ts';

interface BoardViewProps {
  cards: readonly Card[];
  board: Board;
  models: readonly Model[];
  goTo(path: string): void;
}

/** All cards, newest first. */
export function BoardView({ cards, board, models, goTo }: BoardViewProps) {
  if (cards.length === 0) return <EmptyBoard />;
  const ended = cards.filter(hasEnded).length;
  const hasHeatmaps = cards.some(
    ({ prediction }) =>
      prediction?.status === 'SUCCEEDED' &&
      models.some(({ name, heatmap }) => name === prediction.model && heatmap.available),
  );
  return (
    <section className="board" aria-label="Photos">
      <div className="board-bar">
        <h2>
          {ended === cards.length
            ? `${cards.length} ${cards.length === 1 ? 'photo' : 'photos'}`
            : `${ended} of ${cards.length} done`}
        </h2>
        <p className="board-hint">{hasHeatmaps && 'Choose a label to see where the model saw it'}</p>
        <button
          type="button"
          className="button button-quiet"
          disabled={ended === 0}
          onClick={() => {
            moveFocus(null);
            board.removeEnded();
          }}
        >
          Clear finished
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

const GHOSTS = ['a', 'b', 'c', 'd', 'e'];
const GHOST_BARS = ['72%', '44%', '30%', '22%', '16%'];

/** Placeholders for cards, so that the page shows what it is for, and nothing moves when the first ones appear. */
function EmptyBoard() {
  return (
    <section className="board" aria-label="Photos">
      <div className="board-bar">
        <p className="board-empty">
          Your photos appear here: first their place in the queue, then what the model sees in them.
        </p>
      </div>
      <ul className="cards ghosts" aria-hidden="true">
        {GHOSTS.map((ghost) => (
          <li key={ghost} className="card">
            <div className="card-photo" />
            <div className="card-body">
              <div className="card-head" />
              <div className="card-content bars">
                {GHOST_BARS.map((width) => (
                  <span key={width} className="bar">
                    <span className="bar-fill" style={{ width }} />
                  </span>
                ))}
              </div>
              <div className="card-model-line" />
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}
