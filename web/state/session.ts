import type { Board } from './board.ts';
import { type Card, predictionIdOf } from './card.ts';

const KEY = 'inferql.session';

interface Kept {
  /** Undefined for an image that was not sent. */
  id: string | undefined;
  name: string | undefined;
}

/**
 * Keeps the board when the page is reloaded or a phone unloads it: its predictions are stored for this tab when the page goes, and
 * opened again when it comes back. Files cannot be kept: the browser asks before it leaves a page with unsent files.
 * @returns the names of images that had not been sent when the page was left
 */
export function keepSession(board: Board): string[] {
  const kept = readKept();
  for (const { id, name } of kept) if (id !== undefined) board.open(id, name);
  addEventListener('beforeunload', (event) => {
    if (board.getCards().some(isUnsent)) event.preventDefault();
  });
  addEventListener('pagehide', () => {
    const next: Kept[] = board
      .getCards()
      .map((card) => ({ id: predictionIdOf(card), name: card.name, isUnsent: isUnsent(card) }))
      .filter(({ id, isUnsent }) => id !== undefined || isUnsent)
      .map(({ id, name }) => ({ id, name }));
    try {
      sessionStorage.setItem(KEY, JSON.stringify(next));
    } catch {
      // Without storage the board begins empty, as it did before.
    }
  });
  return kept.flatMap(({ id, name }) => (id === undefined && name !== undefined ? [name] : []));
}

/** Also one that waits for another key. */
function isUnsent({ phase, prediction, hasFile }: Card): boolean {
  if (phase.kind === 'refused') return phase.problem.code === 'UNAUTHENTICATED' && hasFile && !prediction;
  return ['in-line', 'uploading', 'delayed'].includes(phase.kind);
}

function readKept(): Kept[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(kept)) return [];
    const isText = (value: unknown) => ['string', 'undefined'].includes(typeof value);
    return kept.filter(
      (item): item is Kept => typeof item === 'object' && item !== null && isText(item.id) && isText(item.name),
    );
  } catch {
    return [];
  }
}
